//! Prints what an artifact's own format says of it, as JSON: `inspect_container FILE [ED25519_HEX]`.
//!
//! With a public key (32 bytes, hexadecimal) it also says whether an MCUboot image is signed with it.

#![expect(clippy::print_stdout, reason = "an example that prints what it found")]

use std::{error::Error, fmt::Write, fs};

use envelope::{
    PublicKey,
    container::{Container, McubootImage},
};
use serde_json::{Value, json};

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let file = arguments.next().ok_or("usage: inspect_container FILE [ED25519_HEX]")?;
    let key = arguments.next().map(|text| text.parse::<model::Digest>()).transpose()?;
    let key = key.map(|bytes| PublicKey::Ed25519(*bytes.as_bytes()));
    let bytes = fs::read(file)?;
    let found = match Container::recognise(&bytes) {
        Ok(Container::Mcuboot(image)) => mcuboot(&image, key.as_ref()),
        Ok(Container::Rauc(bundle)) => {
            let manifest = bundle.manifest.unwrap_or_default();
            json!({
                "kind": "rauc",
                "format": format!("{:?}", bundle.format).to_lowercase(),
                "signature_bytes": bundle.signature_bytes,
                "compatible": manifest.compatible,
                "version": manifest.version,
            })
        }
        Ok(Container::Swu(image)) => json!({
            "kind": "swu",
            "files": image.files().iter().map(|file| file.name).collect::<Vec<_>>(),
            "signed": image.is_signed(),
            "hardware_compatibility": image.hardware_compatibility(),
        }),
        Ok(Container::Raw) => json!({ "kind": "raw" }),
        Err(error) => json!({ "kind": "refused", "error": error.to_string() }),
    };
    println!("{found:#}");
    Ok(())
}

fn mcuboot(image: &McubootImage<'_>, key: Option<&PublicKey>) -> Value {
    let tlv = |tlv: &envelope::container::Tlv<'_>| json!({ "type": tlv.kind, "protected": tlv.protected, "data": hex(tlv.value) });
    json!({
        "kind": "mcuboot",
        "version": image.version().to_string(),
        "load_addr": image.load_addr(),
        "header_bytes": image.header_bytes(),
        "image_bytes": image.image_bytes(),
        "flags": image.flags(),
        "security_counter": image.security_counter().map(|counter| counter.0),
        "digest": hex(image.digest().bytes),
        "key_hashes": image.key_hashes().map(hex).collect::<Vec<_>>(),
        "encrypted": image.is_encrypted(),
        "vendor_id": image.vendor_id().map(|id| hex(&id)),
        "class_id": image.class_id().map(|id| hex(&id)),
        "trailing_bytes": image.trailing_bytes(),
        "tlvs": image.tlvs().iter().map(tlv).collect::<Vec<_>>(),
        "signed_by_key": key.map(|key| image.verify(key).is_ok()),
    })
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").expect("a string takes everything");
        text
    })
}
