//! Asks WebKitWebDriver, over HTTP on loopback: W3C WebDriver, as much of it as is needed.

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{Ipv4Addr, TcpListener, TcpStream},
    path::Path,
    process::Command,
    time::Duration,
};

use serde_json::{Value, json};

use crate::program::{Process, until};

/// The longest that a command may take.
const LONGEST: Duration = Duration::from_secs(60);

/// A driver and the one session that it can have: a program with its windows, which end with it.
#[derive(Debug)]
pub struct Driver {
    session: String,
    port: u16,
    // The windows' program is a child of the driver's, in its group.
    process: Process,
}

impl Driver {
    /// Starts a driver in this environment, and lets it start a program.
    pub fn start(program: &Path, args: &[String], envs: &[(String, String)], log: &Path) -> Self {
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|listener| listener.local_addr());
        let port = port.expect("there is a free port").port();
        let mut command = Command::new("WebKitWebDriver");
        command.args(["--host=127.0.0.1".to_owned(), format!("--port={port}")]);
        command.envs(envs.iter().cloned()).env("TAURI_WEBVIEW_AUTOMATION", "true");
        let process = Process::start(&mut command, log);
        let mut driver = Self { session: String::new(), port, process };
        until("the driver answers", Duration::from_secs(10), || driver.send("GET", "/status", None).ok());
        let options = json!({ "binary": program, "args": args });
        let wanted = json!({ "capabilities": { "alwaysMatch": { "webkitgtk:browserOptions": options } } });
        let session = driver.send("POST", "/session", Some(&wanted)).expect("the windows open");
        let id = session["sessionId"].as_str().expect("a session has an id");
        driver.session = format!("/session/{id}");
        driver
    }

    /// The driver's process; the program and its windows are below it.
    pub fn id(&self) -> u32 {
        self.process.id()
    }

    /// Asks about the session; an error is WebDriver's name of it and what it says besides.
    pub fn get(&self, path: &str) -> Result<Value, String> {
        self.send("GET", &format!("{}{path}", self.session), None)
    }

    /// Does something in the session.
    pub fn post(&self, path: &str, body: &Value) -> Result<Value, String> {
        self.send("POST", &format!("{}{path}", self.session), Some(body))
    }

    fn send(&self, method: &str, path: &str, body: Option<&Value>) -> Result<Value, String> {
        let answer = self.exchange(method, path, body).map_err(|error| format!("no answer: {error}"))?;
        let (head, body) = answer.split_once("\r\n\r\n").ok_or("an answer without a body")?;
        let mut answer: Value = serde_json::from_str(body).map_err(|error| format!("{error}: {body}"))?;
        let value = answer["value"].take();
        if head.starts_with("HTTP/1.1 200") {
            return Ok(value);
        }
        Err(format!(
            "{}: {}",
            value["error"].as_str().unwrap_or(head),
            value["message"].as_str().unwrap_or_default()
        ))
    }

    fn exchange(&self, method: &str, path: &str, body: Option<&Value>) -> std::io::Result<String> {
        let body = body.map(Value::to_string).unwrap_or_default();
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port))?;
        stream.set_read_timeout(Some(LONGEST))?;
        write!(
            stream,
            "{method} {path} HTTP/1.1\r\nHost: 127.0.0.1:{}\r\nContent-Type: application/json\r\n\
             Content-Length: {}\r\nConnection: close\r\n\r\n{body}",
            self.port,
            body.len()
        )?;
        // The driver may leave the connection open: what it announces is what is read.
        let mut reader = BufReader::new(stream);
        let (mut answer, mut length) = (String::new(), 0);
        while !answer.ends_with("\r\n\r\n") {
            let from = answer.len();
            if reader.read_line(&mut answer)? == 0 {
                return Err(std::io::ErrorKind::UnexpectedEof.into());
            }
            if let Some((name, value)) = answer[from..].split_once(':')
                && name.eq_ignore_ascii_case("content-length")
            {
                length = value.trim().parse().map_err(std::io::Error::other)?;
            }
        }
        reader.take(length).read_to_string(&mut answer)?;
        Ok(answer)
    }
}
