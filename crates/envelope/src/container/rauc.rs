use super::slice;

/// A RAUC bundle: a squashfs, for `verity` a hash tree, then a CMS structure and its size.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RaucBundle {
    /// How it is protected.
    pub format: RaucFormat,
    /// The size of the CMS structure at the end, in bytes.
    pub signature_bytes: u64,
    /// What the manifest says, where it is not inside the squashfs. Nothing here was verified.
    pub manifest: Option<RaucManifest>,
}

/// RAUC's bundle formats.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RaucFormat {
    /// The signature is over the whole squashfs; the manifest is inside it.
    Plain,
    /// The signature is over a manifest that carries the root of a hash tree.
    Verity,
    /// As `verity`, and encrypted.
    Crypt,
}

/// The `[update]` section of a manifest.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct RaucManifest {
    /// The systems that the bundle is for.
    pub compatible: Option<String>,
    /// Its version.
    pub version: Option<String>,
}

const SQUASHFS: &[u8] = b"hsqs";
/// The longest CMS structure that is looked into, in bytes.
const MAX_SIGNATURE: u64 = 8 << 20;

/// pkcs7-data, -signedData and -envelopedData (RFC 5652).
const DATA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x07, 0x01];
const SIGNED_DATA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x07, 0x02];
const ENVELOPED_DATA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x07, 0x03];

impl RaucBundle {
    /// The bundle that these bytes are, if they are one: a squashfs with a CMS structure of the size
    /// that the last eight bytes say.
    pub(super) fn find(bytes: &[u8]) -> Option<Self> {
        let (rest, size) = bytes.split_last_chunk::<8>()?;
        let signature_bytes = u64::from_be_bytes(*size);
        if !rest.starts_with(SQUASHFS) || signature_bytes > MAX_SIGNATURE {
            return None;
        }
        let start = rest.len().checked_sub(usize::try_from(signature_bytes).ok()?)?;
        let (kind, content) = content_info(&rest[start..])?;
        let bundle = |format, manifest| Some(Self { format, signature_bytes, manifest });
        match kind {
            ENVELOPED_DATA => bundle(RaucFormat::Crypt, None),
            SIGNED_DATA => match signed_content(content) {
                None => bundle(RaucFormat::Plain, None),
                Some(text) => {
                    let text = String::from_utf8_lossy(text);
                    let format = match value(&text, "bundle", "format").as_deref() {
                        Some("crypt") => RaucFormat::Crypt,
                        _ => RaucFormat::Verity,
                    };
                    let manifest = RaucManifest {
                        compatible: value(&text, "update", "compatible"),
                        version: value(&text, "update", "version"),
                    };
                    bundle(format, Some(manifest))
                }
            },
            _ => None,
        }
    }
}

/// Kind and content of a ContentInfo (RFC 5652, 3) that is nothing but that.
fn content_info(der: &[u8]) -> Option<(&[u8], &[u8])> {
    let (info, rest) = element(der, 0x30)?;
    let (kind, explicit) = element(info, 0x06)?;
    let (content, _) = element(explicit, 0xa0)?;
    rest.is_empty().then_some((kind, content))
}

/// The content that a SignedData (RFC 5652, 5.1) carries, if it does.
fn signed_content(signed_data: &[u8]) -> Option<&[u8]> {
    let (fields, _) = element(signed_data, 0x30)?;
    let (_version, fields) = element(fields, 0x02)?;
    let (_digests, fields) = element(fields, 0x31)?;
    let (encapsulated, _) = element(fields, 0x30)?;
    let (kind, explicit) = element(encapsulated, 0x06)?;
    let (octets, _) = element(explicit, 0xa0)?;
    let (content, _) = element(octets, 0x04)?;
    (kind == DATA).then_some(content)
}

/// The content of the DER element with this tag at the beginning, and what follows it.
fn element(der: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let (&found, rest) = der.split_first()?;
    let (&first, rest) = rest.split_first()?;
    let (len, rest) = match first {
        0..=0x7f => (usize::from(first), rest),
        0x81..=0x84 => {
            let (octets, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
            let len = octets.iter().fold(0_u32, |len, &octet| len << 8 | u32::from(octet));
            (usize::try_from(len).ok()?, rest)
        }
        _ => return None,
    };
    let content = slice(rest, 0, len).filter(|_| found == tag)?;
    Some((content, &rest[len..]))
}

/// A key's value in a section of a manifest (GLib's key file).
fn value(text: &str, section: &str, key: &str) -> Option<String> {
    let header = format!("[{section}]");
    let body = text.lines().map(str::trim).skip_while(|line| *line != header).skip(1);
    body.take_while(|line| !line.starts_with('['))
        .filter_map(|line| line.split_once('='))
        .find(|(name, _)| name.trim() == key)
        .map(|(_, value)| value.trim().to_owned())
}
