mod checks;
mod scene;
mod transitions;
