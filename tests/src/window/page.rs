//! The desktop's two windows, as a person uses them: what is looked for is waited for.

use std::{collections::BTreeSet, path::Path, time::Duration};

use serde_json::{Value, json};

use super::{Driver, memory};
use crate::program::until;

/// How long something may take to stand on a page.
const SOON: Duration = Duration::from_secs(60);
const FIND: &str = include_str!("find.js");
/// WebDriver's name of the field that names an element.
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";

/// Both windows of a desktop. It ends when this is dropped.
#[derive(Debug)]
pub struct Windows {
    driver: Driver,
    main: String,
    vault: String,
}

/// One window.
#[derive(Debug, Clone, Copy)]
pub struct Page<'a> {
    driver: &'a Driver,
    handle: &'a str,
}

impl Windows {
    pub fn open(program: &Path, args: &[String], envs: &[(String, String)], log: &Path) -> Self {
        let driver = Driver::start(program, args, envs, log);
        let handles = until("two windows", SOON, || {
            let handles = driver.get("/window/handles").ok()?;
            let handles: Vec<String> = serde_json::from_value(handles).ok()?;
            (handles.len() == 2).then_some(handles)
        });
        let find = |is: fn(&str) -> bool| {
            let wanted = |handle: &&String| is(&Page { driver: &driver, handle }.url());
            until("both windows show a page", SOON, || handles.iter().find(wanted).cloned())
        };
        let vault = find(|url| url.ends_with("/vault.html"));
        let main = find(|url| url.starts_with("tauri://localhost") && !url.contains("/vault.html"));
        Self { driver, main, vault }
    }

    /// The processes that draw one of the windows and hold this text in their memory.
    pub fn holding(&self, text: &str) -> BTreeSet<u32> {
        memory::holding(self.driver.id(), text)
    }

    /// The screens.
    pub fn main(&self) -> Page<'_> {
        Page { driver: &self.driver, handle: &self.main }
    }

    /// The vault's window.
    pub fn vault(&self) -> Page<'_> {
        Page { driver: &self.driver, handle: &self.vault }
    }
}

impl Page<'_> {
    pub fn url(&self) -> String {
        self.get("/url").ok().and_then(|url| url.as_str().map(str::to_owned)).unwrap_or_default()
    }

    /// Waits for something under this role and name.
    pub fn see(&self, role: &str, name: &str) {
        self.element(role, name, SOON);
    }

    /// The same, for as long as it may take.
    pub fn see_within(&self, role: &str, name: &str, within: Duration) {
        self.element(role, name, within);
    }

    /// Whether it stands there now.
    pub fn shows(&self, role: &str, name: &str) -> bool {
        self.find(role, name).is_some()
    }

    /// Waits until it is gone.
    pub fn gone(&self, role: &str, name: &str) {
        until(&format!("no {role} `{name}`"), SOON, || (!self.shows(role, name)).then_some(()));
    }

    /// Clicks it, once it is there and nothing covers it.
    pub fn click(&self, role: &str, name: &str) {
        let what = format!("{role} `{name}` can be clicked: {}", self.url());
        let enabled = "return !arguments[0].disabled && arguments[0].ariaDisabled !== 'true'";
        until(&what, SOON, || {
            let element = self.find(role, name)?;
            if self.script(enabled, std::slice::from_ref(&element)) != json!(true) {
                return None;
            }
            self.post(&format!("/element/{}/click", id(&element)), &json!({})).ok()
        });
    }

    /// Types into a field in place of what stands there.
    pub fn fill(&self, label: &str, text: &str) {
        until(&format!("the field `{label}` takes what is typed"), SOON, || {
            let element = self.find("field", label)?;
            let element = id(&element);
            // Ctrl A; what stands after it in one piece would be lost.
            for keys in ["\u{e009}a", text] {
                self.post(&format!("/element/{element}/value"), &json!({ "text": keys })).ok()?;
            }
            let value = self.get(&format!("/element/{element}/property/value")).ok()?;
            (value == json!(text)).then_some(())
        });
    }

    /// Presses keys where the focus is.
    pub fn press(&self, keys: &str) {
        let actions: Vec<Value> = keys
            .chars()
            .flat_map(|key| ["keyDown", "keyUp"].map(|kind| json!({ "type": kind, "value": key })))
            .collect();
        let keyboard = json!({ "type": "key", "id": "keyboard", "actions": actions });
        self.post("/actions", &json!({ "actions": [keyboard] })).expect("keys can be pressed");
    }

    /// The text of the first thing that this selector finds, once there is one that is not empty.
    pub fn text(&self, selector: &str) -> String {
        let script = "return document.querySelector(arguments[0])?.textContent.trim()";
        until(&format!("`{selector}` says something"), SOON, || {
            let text = self.script(script, &[json!(selector)]);
            text.as_str().filter(|text| !text.is_empty()).map(str::to_owned)
        })
    }

    /// Waits until a row holds all of these texts.
    pub fn row(&self, texts: &[&str], within: Duration) {
        let script = "return [...document.querySelectorAll('[role=row], tr')].some((row) => \
                      arguments[0].every((text) => row.textContent.includes(text)))";
        until(&format!("a row with {texts:?}"), within, || {
            (self.script(script, &[json!(texts)]) == json!(true)).then_some(())
        });
    }

    /// Waits until what this selector finds ends with this text.
    pub fn reads(&self, selector: &str, text: &str) {
        until(&format!("`{selector}` reads `{text}`"), SOON, || {
            self.text(selector).ends_with(text).then_some(())
        });
    }

    /// Opens the first row that holds this text.
    pub fn open_row(&self, text: &str) {
        let script = "return [...document.querySelectorAll('[role=row], tr')].find((row) => \
                      row.textContent.includes(arguments[0]))";
        until(&format!("a row with `{text}` opens"), SOON, || {
            let row = self.script(script, &[json!(text)]);
            let row = row.is_object().then_some(row)?;
            let at = |kind: &str| json!({ "type": kind, "button": 0 });
            let over = json!({ "type": "pointerMove", "origin": row, "x": 0, "y": 0, "duration": 0 });
            let twice = ["pointerDown", "pointerUp", "pointerDown", "pointerUp"].map(at);
            let moves: Vec<Value> = std::iter::once(over).chain(twice).collect();
            let mouse = json!({ "type": "pointer", "id": "mouse", "actions": moves });
            self.post("/actions", &json!({ "actions": [mouse] })).ok()
        });
    }

    /// Goes to a place of the rail.
    pub fn visit(&self, name: &str) {
        self.click("link", &format!("{name}…"));
        self.see("heading", name);
    }

    /// What a script answers; null if it cannot run just now.
    pub fn script(&self, script: &str, args: &[Value]) -> Value {
        self.post("/execute/sync", &json!({ "script": script, "args": args })).unwrap_or(Value::Null)
    }

    /// What a script hands to its last argument, a function.
    pub fn later(&self, script: &str) -> Value {
        let answer = self.post("/execute/async", &json!({ "script": script, "args": [] }));
        answer.unwrap_or_else(|error| panic!("{error}: {script}"))
    }

    fn element(&self, role: &str, name: &str, within: Duration) -> Value {
        let what = format!("{role} `{name}`");
        until(&what, within, || self.find(role, name))
    }

    fn find(&self, role: &str, name: &str) -> Option<Value> {
        // What is under a dialog cannot be reached.
        let script = format!(
            "const find = function () {{ {FIND} }}; \
            const top = document.querySelector('[role=dialog]') ? '[role=dialog]' : undefined; \
            const found = find(arguments[0], arguments[1], top); return found[0]"
        );
        let element = self.script(&script, &[json!(role), json!(name)]);
        element.is_object().then_some(element)
    }

    fn get(&self, path: &str) -> Result<Value, String> {
        self.here()?;
        self.driver.get(path)
    }

    fn post(&self, path: &str, body: &Value) -> Result<Value, String> {
        self.here()?;
        self.driver.post(path, body)
    }

    /// What follows is asked of this window.
    fn here(&self) -> Result<(), String> {
        self.driver.post("/window", &json!({ "handle": self.handle })).map(drop)
    }
}

fn id(element: &Value) -> &str {
    element[ELEMENT].as_str().expect("an element has an id")
}
