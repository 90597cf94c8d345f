//! Measures what serving costs: `bench_serve [rounds] [devices]`, 5 rounds and 400
//! devices by default.
//!
//! P1: CPU per GB downloaded over a link. P2: CPU per request on a connection that is kept, for some
//! 500 bytes of metadata, with identity and revocation looked up. P3 and P4: CPU per connection, new and
//! resumed, with one request each (nginx looks nothing up, and its resumed connections are compared with
//! ours; the goal for P4 is against its new ones). P5: memory per idle push connection. The peer is `nginx` with the same certificates,
//! where it is installed; ours and its turns alternate, and medians are printed. The load comes from
//! another process, so that only serving is measured.
#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a program that prints what it measured")]

use std::{
    fmt::Write as _,
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::Arc,
    time::Duration,
};

use backend::Config;
use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::{Request, body::Incoming};
use model::Seconds;
use protocol::device::{link_path, path};
use testkit::{Client, Device, FakeClock, Fleet, Running};
use tls::{CertificateDer, ClientTls, Identity, Time};
use tokio::{io::AsyncBufReadExt, task::JoinSet};

const IMAGE: usize = 64 * 1024 * 1024;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    if arguments.first().is_some_and(|first| first == "load") {
        runtime.block_on(load(&arguments[1..]));
    } else {
        let number = |at: usize, otherwise| arguments.get(at).map_or(otherwise, |text| text.parse().unwrap());
        runtime.block_on(measure(number(0, 5), number(1, 400)));
    }
}

/// Who serves, and what is asked of them.
struct Target {
    name: &'static str,
    address: SocketAddr,
    large: String,
    small: String,
    pids: Vec<u32>,
}

async fn measure(rounds: usize, devices: usize) {
    let folder = tempfile::tempdir().unwrap();
    let usual = |config: &mut Config| config.tick = Duration::from_millis(500);
    let running = Running::with(Fleet::of_one(FakeClock::START), usual).await;
    let mut device = running.enrol("A-0").await;
    write_identity(folder.path(), 0, &device);
    println!("enrolling {devices} devices and sealing {} MiB", IMAGE >> 20);
    for number in 1..=devices {
        write_identity(folder.path(), number, &running.enrol(&format!("A-{number}")).await);
    }
    let released = running.release("1.2.0", IMAGE).await;
    let mut policy = running.policy(&[1]);
    policy.link_life = Seconds::days(7);
    running.roll_out(&released, &[&device], policy).await;
    let mut line = device.connect(&running).await;
    let link = loop {
        let offers = device.check_in(&mut line).await.offers;
        if let Some(offer) = offers.first() {
            break device.link_id(&running, offer);
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    };
    fs::write(folder.path().join("root"), running.fleet.ca_root()).unwrap();
    let ours = Target {
        name: "ours",
        address: running.address,
        large: link_path(link),
        small: format!("{}timestamp.json", path::TUF),
        pids: vec![std::process::id()],
    };
    let nginx = Nginx::start(folder.path(), &running, &released.payload.ciphertext);
    let targets: Vec<&Target> = std::iter::once(&ours).chain(nginx.as_ref().map(|n| &n.target)).collect();
    if nginx.is_none() {
        println!("nginx is not installed: no ratios");
    }

    println!("{:<28}{:>10}{:>10}{:>8}", "", "ours", "nginx", "ratio");
    let kinds: [(&str, &str, usize, f64, &str); 4] = [
        ("P1 download", "large", 16, (IMAGE - 1) as f64 * 16.0 / 1e9, "ms/GB"),
        ("P2 1 KiB, kept", "small", 20_000, 20.0, "us/request"),
        ("P3 new connection", "connect", 1_000, 1.0, "us/connection"),
        ("P4 resumed connection", "resume", 1_000, 1.0, "us/connection"),
    ];
    for (what, kind, count, units, unit) in kinds {
        let mut costs = vec![Vec::new(); targets.len()];
        for _ in 0..rounds {
            for (costs, target) in costs.iter_mut().zip(&targets) {
                let before = cpu_ms(&target.pids);
                run_load(folder.path(), target, kind, count);
                costs.push((cpu_ms(&target.pids) - before) / units);
            }
        }
        print(&format!("{what}, {unit}"), &mut costs);
    }

    let mut per_connection = vec![Vec::new(); targets.len()];
    for (costs, target) in per_connection.iter_mut().zip(&targets) {
        // The first connections warm up what all share.
        let warm = Idle::start(folder.path(), target, 1, devices / 4).await;
        let before = pss_kib(&target.pids);
        let many = devices - devices / 4;
        let idle = Idle::start(folder.path(), target, devices / 4 + 1, many).await;
        costs.push((pss_kib(&target.pids) - before) / many as f64);
        drop((idle, warm));
    }
    print("P5 idle connection, KiB", &mut per_connection);
}

fn print(what: &str, costs: &mut [Vec<f64>]) {
    let medians: Vec<f64> = costs
        .iter_mut()
        .map(|costs| {
            costs.sort_by(f64::total_cmp);
            costs[costs.len() / 2]
        })
        .collect();
    let mut line = format!("{what:<28}{:>10.1}", medians[0]);
    if let Some(peer) = medians.get(1) {
        write!(line, "{peer:>10.1}{:>8.2}", peer / medians[0]).unwrap();
    }
    println!("{line}");
}

fn write_identity(folder: &Path, number: usize, device: &Device) {
    fs::write(folder.join(format!("{number}.key")), &*device.key.to_pkcs8().unwrap()).unwrap();
    for (place, certificate) in device.identity.chain().iter().enumerate() {
        fs::write(folder.join(format!("{number}.{place}")), certificate).unwrap();
    }
}

/// CPU time of these processes so far, in milliseconds.
fn cpu_ms(pids: &[u32]) -> f64 {
    let of = |pid: &u32| {
        let tasks = fs::read_dir(format!("/proc/{pid}/task")).unwrap();
        let spent = tasks.map(|task| {
            let stat = fs::read_to_string(task.unwrap().path().join("schedstat")).unwrap_or_default();
            stat.split(' ').next().and_then(|ns| ns.parse::<f64>().ok()).unwrap_or_default()
        });
        spent.sum::<f64>()
    };
    pids.iter().map(of).sum::<f64>() / 1e6
}

fn pss_kib(pids: &[u32]) -> f64 {
    let of = |pid: &u32| {
        let rollup = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap();
        let line = rollup.lines().find(|line| line.starts_with("Pss:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<f64>().unwrap()
    };
    pids.iter().map(of).sum()
}

fn command(folder: &Path, target: &Target, kind: &str, from: usize, count: usize) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    let path = match kind {
        "large" => &target.large,
        "idle" if target.name == "ours" => path::PUSH,
        _ => &target.small,
    };
    let (address, from, count) = (target.address.to_string(), from.to_string(), count.to_string());
    command.arg("load").arg(folder).args([&address, kind, path, &from, &count]);
    command
}

fn run_load(folder: &Path, target: &Target, kind: &str, count: usize) {
    let status = command(folder, target, kind, 0, count).status().unwrap();
    assert!(status.success(), "{kind} against {}", target.name);
}

/// Connections that another process holds.
struct Idle(tokio::process::Child);

impl Idle {
    async fn start(folder: &Path, target: &Target, from: usize, count: usize) -> Self {
        let mut command = tokio::process::Command::from(command(folder, target, "idle", from, count));
        let mut child = command.stdout(Stdio::piped()).kill_on_drop(true).spawn().unwrap();
        let mut lines = tokio::io::BufReader::new(child.stdout.take().unwrap()).lines();
        assert_eq!(lines.next_line().await.unwrap().as_deref(), Some("open"), "{}", target.name);
        Self(child)
    }
}

impl Drop for Idle {
    fn drop(&mut self) {
        // It is killed with its handle; a failure means that it is gone already.
        let _ = self.0.start_kill();
    }
}

/// The peer, with the same certificates, serving the same bytes.
struct Nginx {
    master: Child,
    target: Target,
}

impl Nginx {
    fn start(folder: &Path, running: &Running, image: &[u8]) -> Option<Self> {
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let adopted = running.adopted();
        let mut chain = pem("CERTIFICATE", &adopted.server_certificate);
        adopted.issuing_cas.iter().for_each(|ca| chain += &pem("CERTIFICATE", ca));
        fs::write(folder.join("chain.pem"), chain).unwrap();
        let key = fs::read(running.data_dir().join("keys/tls")).unwrap();
        fs::write(folder.join("key.pem"), pem("PRIVATE KEY", &key)).unwrap();
        fs::write(folder.join("root.pem"), pem("CERTIFICATE", &adopted.ca_root)).unwrap();
        fs::write(folder.join("image"), image).unwrap();
        fs::write(folder.join("small"), &image[..487]).unwrap();
        let at = folder.display();
        let config = format!(
            "daemon off; worker_processes 2; error_log {at}/error.log; pid {at}/pid; user root;
             events {{ worker_connections 4096; }}
             http {{
                access_log off; sendfile on; tcp_nodelay on; keepalive_timeout 600s; keepalive_requests 1000000;
                server {{
                    listen 127.0.0.1:{port} ssl; root {at};
                    ssl_certificate {at}/chain.pem; ssl_certificate_key {at}/key.pem;
                    ssl_client_certificate {at}/root.pem; ssl_verify_client on; ssl_verify_depth 3;
                    ssl_protocols TLSv1.3; ssl_buffer_size 16k; ssl_session_cache shared:s:10m;
                }}
             }}"
        );
        fs::write(folder.join("nginx.conf"), config).unwrap();
        let mut nginx = Command::new("nginx");
        let master = nginx.arg("-c").arg(folder.join("nginx.conf")).stderr(Stdio::null()).spawn().ok()?;
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        while std::net::TcpStream::connect(address).is_err() {
            std::thread::sleep(Duration::from_millis(10));
        }
        let children = format!("/proc/{0}/task/{0}/children", master.id());
        let pids = fs::read_to_string(children).unwrap();
        let pids = pids.split_whitespace().map(|pid| pid.parse().unwrap()).collect();
        let target = Target { name: "nginx", address, large: "/image".into(), small: "/small".into(), pids };
        Some(Self { master, target })
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        // Told to quit, the master ends its workers.
        let _ = Command::new("kill").arg(self.master.id().to_string()).status();
        let _ = self.master.wait();
    }
}

fn pem(label: &str, der: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for chunk in der.chunks(3) {
        let word =
            chunk.iter().fold(0_u32, |word, byte| word << 8 | u32::from(*byte)) << (8 * (3 - chunk.len()));
        for place in 0..4 {
            let digit =
                if place <= chunk.len() { ALPHABET[(word >> (18 - 6 * place)) as usize & 63] } else { b'=' };
            text.push(char::from(digit));
        }
    }
    let lines: Vec<_> = text.as_bytes().chunks(64).map(|line| std::str::from_utf8(line).unwrap()).collect();
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", lines.join("\n"))
}

// The other process.

struct Load {
    folder: PathBuf,
    address: SocketAddr,
    path: String,
}

async fn load(arguments: &[String]) {
    let [folder, address, kind, path, from, count] = arguments else { panic!("six arguments") };
    let load = Load { folder: folder.into(), address: address.parse().unwrap(), path: path.clone() };
    let (from, count): (usize, usize) = (from.parse().unwrap(), count.parse().unwrap());
    let load = Arc::new(load);
    let mut tasks = JoinSet::new();
    match kind.as_str() {
        "idle" => {
            let mut held = Vec::new();
            for number in from..from + count {
                let mut client = load.connect(&load.tls(number)).await;
                let answer = load.ask(&mut client, None).await;
                held.push((client, answer));
            }
            println!("open");
            std::future::pending::<()>().await;
        }
        "large" | "small" => {
            // Never the whole of it: the link would be used up.
            let last = (kind == "large").then_some(IMAGE - 2);
            for _ in 0..4 {
                let load = Arc::clone(&load);
                tasks.spawn(async move {
                    let mut client = load.connect(&load.tls(0)).await;
                    for _ in 0..count / 4 {
                        load.drain(&mut client, last).await;
                    }
                });
            }
        }
        "connect" | "resume" => {
            for _ in 0..16 {
                let (load, resumes) = (Arc::clone(&load), kind == "resume");
                tasks.spawn(async move {
                    let mut tls = load.tls(0);
                    for _ in 0..count.div_ceil(16) {
                        if !resumes {
                            tls = load.tls(0);
                        }
                        let mut client = load.connect(&tls).await;
                        load.drain(&mut client, None).await;
                    }
                });
            }
        }
        other => panic!("what is {other}"),
    }
    tasks.join_all().await;
}

impl Load {
    fn tls(&self, number: usize) -> ClientTls {
        let read = |name: &str| fs::read(self.folder.join(format!("{number}.{name}"))).unwrap();
        let chain = vec![CertificateDer::from(read("0")), CertificateDer::from(read("1"))];
        let identity = Identity::from_pkcs8(chain, &read("key")).unwrap();
        let root = CertificateDer::from(fs::read(self.folder.join("root")).unwrap());
        ClientTls::fleet(&identity, &[root], Time::Clock(Arc::new(FakeClock::default()))).unwrap()
    }

    async fn connect(&self, tls: &ClientTls) -> Client {
        Client::connect(self.address, tls).await.unwrap()
    }

    async fn ask(&self, client: &mut Client, last: Option<usize>) -> hyper::Response<Incoming> {
        let mut request = Request::get(&self.path).header("host", "localhost");
        if let Some(last) = last {
            request = request.header("range", format!("bytes=0-{last}"));
        }
        let empty = http_body_util::Empty::<Bytes>::new().map_err(|never| match never {});
        let answer = client.send(request.body(empty).unwrap()).await.unwrap();
        assert!(answer.status().is_success(), "{}", answer.status());
        answer
    }

    async fn drain(&self, client: &mut Client, last: Option<usize>) {
        let mut body = self.ask(client, last).await.into_body();
        let mut length = 0;
        while let Some(frame) = body.frame().await {
            length += frame.unwrap().into_data().map_or(0, |data| data.len());
        }
        assert!(last.map_or(length > 400, |last| length == last + 1), "{length}");
    }
}
