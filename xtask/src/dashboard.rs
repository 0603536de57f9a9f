//! Grafana's dashboard, put together from the table in `dashboard/panels.rs`.

mod panel;
mod panels;
mod service_panels;

use serde_json::{Value, json};

use crate::dashboard::{
    panel::{Kind, Panel},
    panels::ROWS,
};

/// Grafana's newest form of a dashboard; older Grafanas take it as well.
const SCHEMA: u32 = 41;

/// Columns of the grid.
const WIDTH: u64 = 24;

/// Matchers of what belongs to a process, and of what belongs to a JobConfig. `.*` also matches what has no such label.
const PROCESS: &str = r#"namespace=~"$namespace",job=~"$job""#;
const CONFIG: &str = r#"namespace=~"$namespace",job=~"$job",job_config=~"$job_config""#;

/// The file as Grafana reads it.
pub(crate) fn json() -> anyhow::Result<String> {
    let dashboard = json!({
        "uid": "job-chief",
        "title": "job-chief",
        "description": "Queues, Jobs and services of job-chief.",
        "tags": ["job-chief"],
        "schemaVersion": SCHEMA,
        "version": 1,
        "editable": true,
        "graphTooltip": 1,
        "refresh": "30s",
        "time": {"from": "now-3h", "to": "now"},
        "timezone": "browser",
        "templating": {"list": variables()},
        "annotations": {"list": []},
        "links": [],
        "panels": panels(),
    });
    Ok(serde_json::to_string_pretty(&dashboard)? + "\n")
}

fn variables() -> Vec<Value> {
    let of_values = |name: &str, label: &str, query: &str| {
        json!({
            "name": name, "label": label, "type": "query", "datasource": source(),
            "query": {"query": query, "refId": name}, "definition": query,
            "includeAll": true, "allValue": ".*", "multi": true, "refresh": 2, "sort": 1,
            "current": {"text": ["All"], "value": ["$__all"]},
        })
    };
    vec![
        json!({"name": "datasource", "label": "Data source", "type": "datasource", "query": "prometheus", "current": {}}),
        of_values("namespace", "Namespace", "label_values(job_chief_build_info, namespace)"),
        of_values("job", "Instance", r#"label_values(job_chief_build_info{namespace=~"$namespace"}, job)"#),
        of_values(
            "job_config",
            "JobConfig",
            r#"label_values(job_chief_queue_messages{namespace=~"$namespace",job=~"$job"}, job_config)"#,
        ),
    ]
}

fn source() -> Value {
    json!({"type": "prometheus", "uid": "${datasource}"})
}

/// All rows, from left to right and from top to bottom.
fn panels() -> Vec<Value> {
    let (mut placed, mut top) = (vec![], 0);
    for (title, row) in ROWS {
        placed.push(json!({
            "id": placed.len() + 1, "type": "row", "title": title, "collapsed": false, "panels": [],
            "gridPos": {"x": 0, "y": top, "w": WIDTH, "h": 1},
        }));
        top += 1;
        let (mut left, mut height) = (0, 0);
        for panel in *row {
            let (wide, high) = panel.kind.size();
            if left + wide > WIDTH {
                (left, top) = (0, top + height);
            }
            height = high;
            placed.push(drawn(panel, placed.len() + 1, &json!({"x": left, "y": top, "w": wide, "h": high})));
            left += wide;
        }
        top += height;
    }
    placed
}

fn drawn(panel: &Panel, id: usize, place: &Value) -> Value {
    let targets = panel.queries.iter().zip('A'..='Z').map(|((query, legend), letter)| {
        json!({
            "refId": letter.to_string(), "datasource": source(), "legendFormat": legend, "range": true,
            "expr": query.replace("$PROCESS", PROCESS).replace("$CONFIG", CONFIG),
            "format": if panel.kind == Kind::Heat { "heatmap" } else { "time_series" },
        })
    });
    json!({
        "id": id, "type": panel.kind.name(), "title": panel.title, "description": panel.text, "gridPos": place,
        "datasource": source(), "targets": targets.collect::<Vec<_>>(),
        "fieldConfig": {"defaults": panel.kind.defaults(panel.unit), "overrides": []},
        "options": panel.kind.options(),
    })
}

impl Kind {
    /// Columns and rows.
    fn size(self) -> (u64, u64) {
        match self {
            Self::Number | Self::Names => (3, 4),
            Self::Lines | Self::Stack | Self::Heat => (8, 8),
            Self::YesNo => (12, 7),
        }
    }

    /// Grafana's type of panel.
    fn name(self) -> &'static str {
        match self {
            Self::Number | Self::Names => "stat",
            Self::Lines | Self::Stack => "timeseries",
            Self::YesNo => "state-timeline",
            Self::Heat => "heatmap",
        }
    }

    fn defaults(self, unit: &str) -> Value {
        let mut defaults = json!({"unit": unit, "min": 0, "color": {"mode": "palette-classic"}, "custom": {}});
        match self {
            Self::Number | Self::Names => {
                defaults["color"] = json!({"mode": "fixed", "fixedColor": "text"});
                defaults["noValue"] = json!("–");
            }
            Self::Lines => defaults["custom"] = json!({"lineWidth": 1, "showPoints": "never", "fillOpacity": 5}),
            Self::Stack => {
                let stacked = json!({"mode": "normal", "group": "A"});
                defaults["custom"] =
                    json!({"lineWidth": 1, "showPoints": "never", "fillOpacity": 40, "stacking": stacked});
            }
            Self::YesNo => {
                let told = |text: &str, color: &str| json!({"text": text, "color": color});
                let words = json!({"0": told("no", "red"), "1": told("yes", "green")});
                defaults["mappings"] = json!([{"type": "value", "options": words}]);
                defaults["custom"] = json!({"fillOpacity": 70, "lineWidth": 0});
            }
            Self::Heat => {}
        }
        defaults
    }

    fn options(self) -> Value {
        let stat = |text_mode: &str| {
            json!({
                "textMode": text_mode, "colorMode": "value", "graphMode": "none", "justifyMode": "auto",
                "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": false},
            })
        };
        match self {
            Self::Number => stat("value"),
            Self::Names => stat("name"),
            Self::Lines | Self::Stack => json!({
                "legend": {"displayMode": "list", "placement": "bottom", "showLegend": true, "calcs": []},
                "tooltip": {"mode": "multi", "sort": "desc"},
            }),
            Self::YesNo => json!({
                "mergeValues": true, "showValue": "never", "rowHeight": 0.8,
                "legend": {"displayMode": "list", "placement": "bottom", "showLegend": true},
                "tooltip": {"mode": "single", "sort": "none"},
            }),
            Self::Heat => json!({
                "calculate": false, "cellGap": 1, "color": {"mode": "scheme", "scheme": "Blues", "steps": 32},
                "yAxis": {"axisPlacement": "left", "unit": "s"}, "tooltip": {"mode": "single", "yHistogram": false},
                "legend": {"show": true}, "rowsFrame": {"layout": "auto"},
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn panels_lie_side_by_side_and_none_over_another() {
        let mut taken = std::collections::BTreeSet::new();
        for panel in panels() {
            let [x, y, w, h] = ["x", "y", "w", "h"].map(|key| panel["gridPos"][key].as_u64().expect("a number"));
            assert!(x + w <= WIDTH, "{panel}");
            for cell in (x..x + w).flat_map(|column| (y..y + h).map(move |line| (column, line))) {
                assert!(taken.insert(cell), "{cell:?} is taken: {panel}");
            }
        }
    }

    #[test]
    fn every_panel_is_told_of_and_asks_for_what_is_chosen() {
        for panel in panels().iter().filter(|panel| panel["type"] != "row") {
            assert!(panel["description"].as_str().is_some_and(|text| text.ends_with('.')), "{panel}");
            let targets = panel["targets"].as_array().expect("a list");
            assert!(!targets.is_empty(), "{panel}");
            for query in targets.iter().filter_map(|target| target["expr"].as_str()) {
                assert!(query.contains("$namespace") && !query.contains("$PROCESS"), "{query}");
            }
        }
    }
}
