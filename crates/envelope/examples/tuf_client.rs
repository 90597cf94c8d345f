//! Our TUF client behind the command line that TUF's public conformance suite drives
//! (theupdateframework/tuf-conformance, `CLIENT-CLI.md`), for plain HTTP on the loopback interface.
//!
//! ```text
//! tuf_client --metadata-dir D init ROOT
//! tuf_client --metadata-dir D --metadata-url U refresh
//! tuf_client --metadata-dir D --metadata-url U --target-name T --target-base-url B --target-dir O download
//! ```

use std::{
    fs,
    io::{self, BufRead, BufReader, Read, Write},
    net::TcpStream,
    path::{Path, PathBuf},
    process::ExitCode,
    time::{Duration, SystemTime},
};

use envelope::{
    Verified,
    tuf::{Client, Fetched, Need, Signed, TargetsView, TrustedState},
};
use model::{TargetName, UnixTime};

type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

#[derive(Default)]
struct Arguments {
    metadata_dir: PathBuf,
    metadata_url: String,
    target_name: String,
    target_base_url: String,
    target_dir: PathBuf,
    command: String,
    root: PathBuf,
}

fn main() -> ExitCode {
    let outcome = arguments().and_then(|arguments| match arguments.command.as_str() {
        "init" => init(&arguments),
        "refresh" => refresh(&arguments).map(|_| ()),
        "download" => download(&arguments),
        other => Err(format!("no command `{other}`").into()),
    });
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(io::stderr(), "{error}");
            ExitCode::FAILURE
        }
    }
}

fn arguments() -> Outcome<Arguments> {
    let mut arguments = Arguments::default();
    let mut given = std::env::args().skip(1);
    while let Some(argument) = given.next() {
        let mut value = || given.next().ok_or_else(|| format!("`{argument}` needs a value"));
        match argument.as_str() {
            "--metadata-dir" => arguments.metadata_dir = value()?.into(),
            "--metadata-url" => arguments.metadata_url = value()?,
            "--target-name" => arguments.target_name = value()?,
            "--target-base-url" => arguments.target_base_url = value()?,
            "--target-dir" => arguments.target_dir = value()?.into(),
            "init" => {
                arguments.root = value()?.into();
                arguments.command = argument;
            }
            _ => arguments.command = argument,
        }
    }
    Ok(arguments)
}

fn init(arguments: &Arguments) -> Outcome<()> {
    let state = TrustedState::bootstrap(&fs::read(&arguments.root)?)?;
    fs::create_dir_all(&arguments.metadata_dir)?;
    store(&arguments.metadata_dir, &state)
}

fn refresh(arguments: &Arguments) -> Outcome<Verified<TargetsView>> {
    let dir = &arguments.metadata_dir;
    let [a, b] = ["trusted.a", "trusted.b"].map(|copy| fs::read(dir.join(copy)).ok());
    let state = TrustedState::choose(a.as_deref(), b.as_deref())?;
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?;
    let mut stored = state.generation();
    let mut client = Client::new(state, UnixTime::from_secs(now.as_secs()));
    while let Need::Fetch { path, max_bytes } = client.next() {
        let file = get(&format!("{}/{path}", arguments.metadata_url.trim_end_matches('/')), max_bytes)?;
        let fed = client.feed(file.as_deref().map_or(Fetched::NotFound, Fetched::Bytes));
        if client.state().generation() > stored {
            stored = client.state().generation();
            store(dir, client.state())?;
        }
        fed?;
    }
    Ok(client.targets()?)
}

fn download(arguments: &Arguments) -> Outcome<()> {
    let targets = refresh(arguments)?;
    let name: TargetName = arguments.target_name.parse()?;
    let target = targets.target(&name).ok_or("no such target")?;
    // A target's name has no character but the slash that a file's name may not have.
    let path = arguments.target_dir.join(name.as_str().replace('/', "%2F"));
    if fs::read(&path).is_ok_and(|content| target.verify(content).is_ok()) {
        return Ok(());
    }
    let url = format!("{}/{}", arguments.target_base_url.trim_end_matches('/'), target.path());
    let content = get(&url, target.length())?.ok_or("the repository has no such file")?;
    let content = target.verify(content)?;
    fs::create_dir_all(&arguments.target_dir)?;
    write(&path, content.as_bytes())
}

/// Stores both copies, one after the other, and beside them the metadata as files for whoever looks.
fn store(dir: &Path, state: &TrustedState) -> Outcome<()> {
    for copy in ["trusted.a", "trusted.b"] {
        write(&dir.join(copy), &state.to_bytes())?;
    }
    write(&dir.join("root.json"), state.root().raw())?;
    for (name, raw) in [
        ("timestamp.json", state.timestamp().map(Signed::raw)),
        ("snapshot.json", state.snapshot().map(Signed::raw)),
        ("targets.json", state.targets().map(Signed::raw)),
    ] {
        if let Some(raw) = raw {
            write(&dir.join(name), raw)?;
        }
    }
    Ok(())
}

fn write(path: &Path, content: &[u8]) -> Outcome<()> {
    let beside = path.with_extension("part");
    fs::write(&beside, content)?;
    Ok(fs::rename(&beside, path)?)
}

/// Fetches `http://host:port/path` from the loopback interface; at most one byte more than
/// `max_bytes`. None where the server has no such file.
fn get(url: &str, max_bytes: u64) -> Outcome<Option<Vec<u8>>> {
    let rest = url.strip_prefix("http://").ok_or("only http:// is spoken here")?;
    let (host, path) = rest.split_once('/').ok_or("an address without a path")?;
    let stream = TcpStream::connect(host)?;
    if !stream.peer_addr()?.ip().is_loopback() {
        return Err("only the loopback interface is asked".into());
    }
    stream.set_read_timeout(Some(Duration::from_secs(30)))?;
    write!(&stream, "GET /{path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n")?;
    let mut reader = BufReader::new(stream).take(16_384);
    let mut line = String::new();
    reader.read_line(&mut line)?;
    let status = line.split(' ').nth(1).unwrap_or_default().to_owned();
    let mut length = None;
    loop {
        line.clear();
        reader.read_line(&mut line)?;
        let Some((name, value)) = line.trim_end().split_once(':') else { break };
        match name.to_ascii_lowercase().as_str() {
            "content-length" => length = Some(value.trim().parse::<u64>()?),
            "transfer-encoding" => return Err("no transfer encoding is read here".into()),
            _ => {}
        }
    }
    match status.as_str() {
        "200" => {}
        "403" | "404" => return Ok(None),
        other => return Err(format!("the server says {other}").into()),
    }
    let mut content = Vec::new();
    reader.set_limit(max_bytes.saturating_add(1).min(length.unwrap_or(u64::MAX)));
    reader.read_to_end(&mut content)?;
    if length.is_some_and(|length| (content.len() as u64) < length.min(max_bytes)) {
        return Err("the file was cut off".into());
    }
    Ok(Some(content))
}
