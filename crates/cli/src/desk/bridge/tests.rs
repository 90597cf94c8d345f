use serde_json::json;
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use super::*;

struct Opened {
    authority: String,
    secret: String,
    _served: tokio_util::task::AbortOnDropHandle<Result<(), Error>>,
    _home: TempDir,
    _ui: TempDir,
}

async fn open(window: Window) -> Opened {
    let (home, ui) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    std::fs::write(ui.path().join("index.html"), "the screens").unwrap();
    std::fs::write(home.path().join("outside.txt"), "not for a page").unwrap();
    let host = Host::start(home.path()).await.unwrap();
    let bridge = Bridge::open(host, window, ui.path()).await.unwrap();
    let (authority, secret) = (bridge.door.authority.clone(), bridge.secret.to_string());
    let served = tokio_util::task::AbortOnDropHandle::new(tokio::spawn(bridge.serve()));
    Opened { authority, secret, _served: served, _home: home, _ui: ui }
}

impl Opened {
    /// Sends a request with exactly these headers; gives the status and everything that came back.
    async fn raw(&self, line: &str, headers: &[(&str, &str)], body: &str) -> (u16, String) {
        let mut stream = TcpStream::connect(&self.authority).await.unwrap();
        let mut request =
            format!("{line} HTTP/1.1\r\nconnection: close\r\ncontent-length: {}\r\n", body.len());
        for (name, value) in headers {
            request.push_str(&format!("{name}: {value}\r\n"));
        }
        request.push_str(&format!("\r\n{body}"));
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.unwrap();
        let answer = String::from_utf8(answer).unwrap();
        (answer.split(' ').nth(1).unwrap().parse().unwrap(), answer)
    }

    /// As the page itself sends it.
    async fn send(&self, line: &str, bearer: &str, body: &str) -> (u16, String) {
        let (origin, bearer) = (format!("http://{}", self.authority), format!("Bearer {bearer}"));
        let headers = [
            ("host", self.authority.as_str()),
            ("origin", &origin),
            ("authorization", &bearer),
            ("content-type", "application/json"),
        ];
        self.raw(line, &headers, body).await
    }

    async fn bearer(&self) -> String {
        let (status, answer) =
            self.send("POST /session", "", &json!({ "secret": self.secret }).to_string()).await;
        assert_eq!(status, 200, "{answer}");
        let body: Value = serde_json::from_str(answer.split("\r\n\r\n").nth(1).unwrap()).unwrap();
        body["bearer"].as_str().unwrap().to_owned()
    }
}

#[tokio::test]
async fn a_page_with_the_secret_reaches_the_command_table_once() {
    let opened = open(Window::Main).await;
    let wrong = json!({ "secret": "0".repeat(64) }).to_string();
    assert_eq!(opened.send("POST /session", "", &wrong).await.0, 401);
    let bearer = opened.bearer().await;
    let (status, answer) = opened.send("POST /rpc/host.show", &bearer, "{}").await;
    assert!(status == 200 && answer.contains("\"version\""), "{answer}");
    let again = json!({ "secret": opened.secret }).to_string();
    assert_eq!(opened.send("POST /session", "", &again).await.0, 401);
}

#[tokio::test]
async fn nobody_without_a_session_reaches_anything_but_the_page() {
    let opened = open(Window::Main).await;
    for bearer in ["", &opened.secret, &"0".repeat(64)] {
        for line in ["POST /rpc/host.show", "GET /events", "PUT /files/a", "POST /files/a", "GET /files/1/a"]
        {
            assert_eq!(opened.send(line, bearer, "{}").await.0, 401, "{line}");
        }
    }
    let (status, page) = opened.send("GET /", "", "").await;
    assert!(status == 200 && page.contains("the screens"), "{page}");
    let policy =
        "content-security-policy: default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'";
    assert!(page.contains(policy) && page.contains("frame-ancestors 'none'"), "{page}");
}

#[tokio::test]
async fn a_request_by_another_name_of_this_host_is_refused() {
    let opened = open(Window::Main).await;
    let bearer = format!("Bearer {}", opened.bearer().await);
    let port = opened.authority.split(':').nth(1).unwrap().to_owned();
    let (origin, local) = (format!("http://{}", opened.authority), format!("localhost:{port}"));
    for host in ["attacker.example", "127.0.0.1", &local] {
        let headers = [("host", host), ("origin", &origin), ("authorization", bearer.as_str())];
        assert_eq!(opened.raw("POST /rpc/host.show", &headers, "{}").await.0, 403, "{host}");
        assert_eq!(opened.raw("GET /", &[("host", host)], "").await.0, 403, "{host}");
    }
}

#[tokio::test]
async fn a_page_of_another_origin_is_refused() {
    let opened = open(Window::Main).await;
    let bearer = format!("Bearer {}", opened.bearer().await);
    let host = ("host", opened.authority.as_str());
    let own = format!("http://{}", opened.authority);
    let json = ("content-type", "application/json");
    for origin in ["https://attacker.example", "null", "http://127.0.0.1:1", &own.replace("http", "https")] {
        let headers = [host, ("origin", origin), ("authorization", bearer.as_str()), json];
        for line in ["POST /rpc/host.show", "GET /events", "GET /"] {
            assert_eq!(opened.raw(line, &headers, "{}").await.0, 403, "{line} from {origin}");
        }
    }
    let nowhere = [host, ("authorization", bearer.as_str()), json];
    assert_eq!(opened.raw("POST /rpc/host.show", &nowhere, "{}").await.0, 403);
    let site =
        [host, ("origin", &own), ("authorization", bearer.as_str()), json, ("sec-fetch-site", "cross-site")];
    assert_eq!(opened.raw("POST /rpc/host.show", &site, "{}").await.0, 403);
}

#[tokio::test]
async fn an_address_that_leads_out_of_the_screens_names_nothing() {
    let opened = open(Window::Main).await;
    for path in [
        "/../outside.txt",
        "/%2e%2e/outside.txt",
        "/..%2foutside.txt",
        "//etc/passwd",
        "/a/../../outside.txt",
    ] {
        let (status, answer) = opened.send(&format!("GET {path}"), "", "").await;
        assert!(status == 404 && !answer.contains("not for a page"), "{path}: {answer}");
    }
}

#[tokio::test]
async fn each_window_reaches_its_own_commands_alone() {
    let main = open(Window::Main).await;
    let unlock = json!({ "passphrase": "gravel oboe lantern swift cactus" }).to_string();
    let (status, answer) = main.send("POST /rpc/vault.unlock", &main.bearer().await, &unlock).await;
    assert!(status == 403 && answer.contains("vault's window"), "{answer}");

    let vault = open(Window::Vault).await;
    let bearer = vault.bearer().await;
    let (status, answer) = vault.send("POST /rpc/vault.unlock", &bearer, &unlock).await;
    assert!(status == 412 && answer.contains("no workspace is in use"), "{answer}");
    assert!(answer.contains("style-src 'self';"), "{answer}");
    assert_eq!(vault.send("POST /rpc/fleet.sign", &bearer, "{\"file\":\"x\"}").await.0, 403);
}

#[tokio::test]
async fn a_dropped_file_becomes_a_path_and_a_written_one_comes_back() {
    let opened = open(Window::Main).await;
    let bearer = opened.bearer().await;
    let (status, answer) = opened.send("PUT /files/app.bin", &bearer, "the artifact").await;
    assert_eq!(status, 200, "{answer}");
    let place: Value = serde_json::from_str(answer.split("\r\n\r\n").nth(1).unwrap()).unwrap();
    assert_eq!(std::fs::read_to_string(place["path"].as_str().unwrap()).unwrap(), "the artifact");
    let (status, answer) = opened.send(&format!("GET {}", place["url"].as_str().unwrap()), &bearer, "").await;
    assert!(status == 200 && answer.ends_with("the artifact"), "{answer}");
    for name in ["%2e%2e", "..%2fx", "a%5cb"] {
        assert_eq!(opened.send(&format!("PUT /files/{name}"), &bearer, "x").await.0, 400, "{name}");
    }
    assert_eq!(opened.send("GET /files/1/..%2f..%2fx", &bearer, "").await.0, 404);
}

#[tokio::test]
async fn events_begin_with_everything_as_it_stands() {
    let opened = open(Window::Main).await;
    let bearer = opened.bearer().await;
    let mut stream = TcpStream::connect(&opened.authority).await.unwrap();
    let request = format!(
        "GET /events HTTP/1.1\r\nhost: {}\r\nauthorization: Bearer {bearer}\r\n\r\n",
        opened.authority
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    while !answer.ends_with(b"]\n\r\n") {
        assert_ne!(stream.read_buf(&mut answer).await.unwrap(), 0);
    }
    let answer = String::from_utf8(answer).unwrap();
    for event in ["workspace", "connection", "vault", "ceremonies"] {
        assert!(answer.contains(&format!("\"event\":\"{event}\"")), "{answer}");
    }
}
