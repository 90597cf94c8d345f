use serde_json::{Value, json};
use tauri::{
    App,
    ipc::{CallbackFn, InvokeBody},
    test::{INVOKE_KEY, MockRuntime, get_ipc_response, mock_builder},
    webview::InvokeRequest,
};

use super::*;

const HOME: &str = "tauri://localhost";

/// The program with its real configuration and capabilities, on windows that nobody sees.
fn program() -> (App<MockRuntime>, tempfile::TempDir) {
    let home = tempfile::tempdir().unwrap();
    let app = configure(mock_builder()).build(tauri::generate_context!()).unwrap();
    let host = async_runtime::block_on(Host::start(home.path())).unwrap();
    app.manage(host);
    windows::open(app.handle()).unwrap();
    (app, home)
}

fn invoke(
    app: &App<MockRuntime>,
    label: &str,
    from: &str,
    command: &str,
    body: Value,
) -> Result<Value, Value> {
    let window = app.get_webview_window(label).unwrap();
    let request = InvokeRequest {
        cmd: command.into(),
        callback: CallbackFn(0),
        error: CallbackFn(1),
        url: from.parse().unwrap(),
        body: InvokeBody::Json(body),
        headers: Default::default(),
        invoke_key: INVOKE_KEY.into(),
    };
    get_ipc_response(&window, request).map(|answer| answer.deserialize().unwrap())
}

fn rpc(name: &str) -> Value {
    json!({ "name": name, "request": {} })
}

fn denied(answer: Result<Value, Value>) -> bool {
    answer.is_err_and(|error| error.as_str().is_some_and(|text| text.contains("not allowed")))
}

#[test]
fn each_window_reaches_the_host_by_its_own_command() {
    let (app, _home) = program();
    for (label, command) in [(windows::MAIN, "rpc"), (windows::VAULT, "vault_rpc")] {
        let status = invoke(&app, label, HOME, command, rpc("host.show")).unwrap();
        assert_eq!(status["version"], env!("CARGO_PKG_VERSION"));
    }
}

#[test]
fn the_main_window_cannot_reach_what_is_the_vaults() {
    let (app, _home) = program();
    assert!(denied(invoke(&app, windows::MAIN, HOME, "vault_rpc", rpc("vault.unlock"))));
    assert!(denied(invoke(&app, windows::MAIN, HOME, "close_vault", json!({}))));
    let refused = invoke(&app, windows::MAIN, HOME, "rpc", rpc("vault.unlock")).unwrap_err();
    assert_eq!(refused["code"], "forbidden");
    assert!(denied(invoke(&app, windows::VAULT, HOME, "rpc", rpc("host.show"))));
}

#[test]
fn a_foreign_origin_is_denied() {
    let (app, _home) = program();
    for from in ["https://attacker.example", "http://localhost:1420", "tauri://attacker.example"] {
        assert!(invoke(&app, windows::MAIN, from, "rpc", rpc("host.show")).is_err(), "{from}");
        assert!(invoke(&app, windows::VAULT, from, "vault_rpc", rpc("vault.show")).is_err(), "{from}");
    }
}

#[test]
fn a_window_that_no_capability_names_is_denied() {
    let (app, _home) = program();
    let url = tauri::WebviewUrl::App("index.html".into());
    tauri::WebviewWindowBuilder::new(&app, "other", url).build().unwrap();
    for command in ["rpc", "vault_rpc", "subscribe", "pick_files", "save_file", "open_vault", "close_vault"] {
        assert!(denied(invoke(&app, "other", HOME, command, rpc("host.show"))), "{command}");
    }
}

#[test]
fn no_window_is_granted_anything_of_the_framework_but_hearing_drops() {
    let (app, _home) = program();
    for label in [windows::MAIN, windows::VAULT] {
        for command in [
            "plugin:window|set_title",
            "plugin:dialog|open",
            "plugin:webview|create_webview_window",
            "plugin:event|emit",
        ] {
            assert!(invoke(&app, label, HOME, command, json!({})).is_err(), "{command} in {label}");
        }
    }
}

#[test]
fn navigation_stays_within_the_built_in_pages() {
    let ours = |url: &str| windows::is_ours(&url.parse().unwrap());
    assert!(ours("tauri://localhost/index.html#/releases") && ours("http://tauri.localhost/vault.html"));
    for url in [
        "https://attacker.example",
        "http://localhost:1420",
        "tauri://attacker.example",
        "http://tauri.localhost:81",
        "file:///etc/passwd",
        "data:text/html,x",
        "about:blank",
    ] {
        assert!(!ours(url), "{url}");
    }
}

#[test]
fn the_configuration_shows_no_developer_tools_and_no_remote_content() {
    let context: tauri::Context<tauri::test::MockRuntime> = tauri::generate_context!();
    let app = &context.config().app;
    assert!(app.windows.iter().all(|window| window.devtools == Some(false) && !window.create));
    assert!(!app.with_global_tauri && app.security.freeze_prototype);
    let policy = app.security.csp.clone().unwrap().to_string();
    assert!(policy.contains("default-src 'none'") && policy.contains("script-src 'self'"), "{policy}");
    assert!(
        !policy.contains("https:") && !policy.contains('*') && !policy.contains("unsafe-eval"),
        "{policy}"
    );
}
