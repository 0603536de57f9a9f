//! Modules, and what may be said when one is deployed.

use serde_json::Value;

use crate::{
    harmless::harmless,
    tables::grid::{Cell, Column, grid},
};

/// All modules, one a line.
pub fn overview(modules: &Value, width: usize) -> String {
    let row = |module: &Value| -> Vec<Cell> {
        let versions: Vec<&str> =
            module["versions"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        vec![word(&module["name"]).into(), versions.join(", ").into()]
    };
    let rows: Vec<Vec<Cell>> = modules.as_array().into_iter().flatten().map(row).collect();
    if rows.is_empty() {
        return "there is no module\n".into();
    }
    grid(&[("MODULE", Column::Name), ("VERSIONS", Column::Text)], &rows, width)
}

/// The placeholders of a module.
pub fn details(module: &Value, width: usize) -> String {
    let row = |placeholder: &Value| -> Vec<Cell> {
        vec![
            word(&placeholder["name"]).into(),
            word(&placeholder["kind"]).into(),
            placeholder["default"].to_string().into(),
            word(&placeholder["help"]).into(),
        ]
    };
    let rows: Vec<Vec<Cell>> = module["placeholders"].as_array().into_iter().flatten().map(row).collect();
    let head = format!("{}@{}\n", harmless(&word(&module["name"])), harmless(&word(&module["version"])));
    if rows.is_empty() {
        return format!("{head}it has no placeholder\n");
    }
    let header =
        [("PLACEHOLDER", Column::Name), ("KIND", Column::Short), ("DEFAULT", Column::Text), ("", Column::Detail)];
    format!("{head}\n{}", grid(&header, &rows, width))
}

fn word(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}
