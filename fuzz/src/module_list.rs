//! Lists of modules to deploy, and the values for them.

use job_chief::{config::module_list::ModuleList, modules::values};

use crate::places;

pub(crate) fn try_out(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    if let Err(problems) = values::read("values.yaml", text) {
        places::are_within(text, &problems);
    }
    let Ok(value) = serde_json::from_str(text) else { return };
    let list = ModuleList::of("MODULES", &value, "media");
    let both = list.clone().and(list.clone());
    assert_eq!(both.entries, list.entries, "nothing is deployed twice");
    assert!(list.problems.iter().all(|problem| problem.contains("MODULES")), "{:?}", list.problems);
}
