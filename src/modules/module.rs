//! A version of a module: its files, its placeholders, and what they become with the values of a deployment.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

use crate::{
    config::{
        judge::Judges,
        problems::{Place, Problem, Problems, nearest},
    },
    modules::{
        fill::{Filler, Slots, VALUES_BYTES_MAX, Values},
        job_config, kinds,
        object::{Object, ObjectId, ObjectKind},
        placeholder::{Placeholder, Use},
        print::Printer,
        rendered::{Rendered, RenderedFile},
        secrets::{self, hidden},
        source::{PROBLEMS_MAX, Source, sorted},
        template::Template,
    },
};

/// Files of a module, those of its dependencies among them.
pub const FILES_MAX: usize = 64;

/// Objects of a module: they are applied one after another.
pub const OBJECTS_MAX: usize = 200;

/// The folder of what is applied first.
pub const DEPENDENCIES: &str = "dependencies";

/// A version of a module.
#[derive(Clone, Debug)]
pub struct Module {
    name: String,
    version: String,
    /// The dependencies first, each by name.
    templates: Vec<Template>,
    placeholders: Vec<Placeholder>,
}

impl Module {
    /// Reads the files of a version, each with its path below the version's folder and its text.
    ///
    /// # Errors
    /// Everything that is wrong with them, whatever values they get.
    pub fn read(name: &str, version: &str, files: Vec<(String, String)>) -> Result<Self, Problems> {
        let whole = |text: String| {
            let place = Place::Source { source: format!("module {name}@{version}") };
            Problems(vec![Problem { place, path: String::new(), text }])
        };
        if files.is_empty() {
            return Err(whole("it has no files: at least one .yaml or .yml is needed".into()));
        }
        if files.len() > FILES_MAX {
            return Err(whole(format!("it has {} files, allowed are {FILES_MAX}", files.len())));
        }
        let mut files = files;
        files.sort_by(|(a, _), (b, _)| (!is_dependency(a), a).cmp(&(!is_dependency(b), b)));
        let (mut templates, mut problems) = (vec![], vec![]);
        for (file, text) in files {
            match Template::read(Source::new(file, &text)) {
                Ok(template) => templates.push(template),
                Err(found) => problems.extend(found),
            }
        }
        let objects: usize = templates.iter().map(|template| template.documents.len()).sum();
        if objects > OBJECTS_MAX {
            return Err(whole(format!("it has {objects} objects, allowed are {OBJECTS_MAX}: make two modules of it")));
        }
        // What a broken file has is not known: help for it is no mistake.
        let (placeholders, found) = placeholders(&templates, problems.is_empty());
        problems.extend(found);
        if problems.is_empty() && objects == 0 {
            return Err(whole("its files have no object".into()));
        }
        if !problems.is_empty() {
            return Err(Problems(sorted(problems)));
        }
        Ok(Self { name: name.to_owned(), version: version.to_owned(), templates, placeholders })
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its version.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// What may be said when it is deployed, by name.
    pub fn placeholders(&self) -> &[Placeholder] {
        &self.placeholders
    }

    /// The values of all placeholders: those that are given, and else the defaults.
    pub fn values(&self, given: &Map<String, Value>) -> Map<String, Value> {
        let value = |placeholder: &Placeholder| {
            let value = given.get(&placeholder.name).unwrap_or(&placeholder.default);
            (placeholder.name.clone(), value.clone())
        };
        self.placeholders.iter().map(value).collect()
    }

    /// Its files with values in them, for one namespace.
    ///
    /// # Errors
    /// Everything that is wrong: values that no placeholder has or takes, and objects that can't be deployed.
    pub fn fill(&self, given: &Map<String, Value>, namespace: &str) -> Result<Rendered, Problems> {
        let mut problems = self.wrong_values(given);
        if !problems.is_empty() {
            return Err(Problems(sorted(problems)));
        }
        let values: Values<'_> = self
            .placeholders
            .iter()
            .map(|known| (known.name.as_str(), given.get(&known.name).unwrap_or(&known.default)))
            .collect();
        let (mut filled, mut left, mut known) = (vec![], VALUES_BYTES_MAX, BTreeMap::new());
        let judges = Judges::default();
        for template in &self.templates {
            let slots = Slots::of(template, &values);
            let mut filling = Filling { template, slots: &slots, namespace, judges: &judges, problems: vec![] };
            let objects = filling.objects(left, &mut known);
            problems.append(&mut filling.problems);
            let Some((objects, still)) = objects else { break };
            left = still;
            filled.push((template, slots, objects));
        }
        if problems.is_empty() { Ok(printed(filled, &values)) } else { Err(Problems(sorted(problems))) }
    }

    fn wrong_values(&self, given: &Map<String, Value>) -> Vec<Problem> {
        let find = |name: &str| self.placeholders.iter().find(|known| known.name == name);
        let wrong = given.iter().filter_map(|(name, value)| {
            let Some(known) = find(name) else {
                let hint = nearest(name, self.placeholders.iter().map(|known| known.name.as_str()));
                let place = Place::Source { source: "config".into() };
                let text = format!(
                    "unknown key \"{name}\"{hint}: no placeholder of {}@{} has that name",
                    self.name, self.version
                );
                return Some(Problem { place, path: name.clone(), text });
            };
            if known.kind.takes(value) {
                return None;
            }
            let place = Place::Text { file: known.file.clone(), line: known.line, column: known.column };
            let text = format!("a value of another kind for {}{{{name}}}: {}", known.kind.sign(), known.kind.allowed());
            Some(Problem { place, path: format!("config.{name}"), text })
        });
        wrong.take(PROBLEMS_MAX).collect()
    }
}

fn is_dependency(file: &str) -> bool {
    file.split_once('/').is_some_and(|(folder, _)| folder == DEPENDENCIES)
}

/// A file on its way.
struct Filling<'a> {
    template: &'a Template,
    slots: &'a Slots<'a>,
    namespace: &'a str,
    judges: &'a Judges,
    problems: Vec<Problem>,
}

impl Filling<'_> {
    /// The objects, and what the values of further files may take; none if values take too much.
    fn objects(&mut self, left: usize, known: &mut BTreeMap<ObjectId, String>) -> Option<(Vec<Object>, usize)> {
        let source = &self.template.source;
        let mut filler = Filler::new(self.template, self.slots, left);
        let mut objects = vec![];
        for tree in &self.template.documents {
            let before = filler.problems.len();
            let node = filler.node(tree);
            if filler.left() == 0 {
                self.problems.append(&mut filler.problems);
                return None;
            }
            if filler.problems.len() > before {
                continue;
            }
            let object = match kinds::object(source, &node, self.namespace) {
                Ok(object) => object,
                Err(found) => {
                    self.problems.extend(found);
                    continue;
                }
            };
            if object.id.kind == ObjectKind::JobConfig {
                self.problems.extend(
                    job_config::judged(source, &node, &object.id.name, self.judges).err().into_iter().flatten(),
                );
            }
            let here = format!("{}:{}", object.file, object.line);
            if let Some(earlier) = known.insert(object.id.clone(), here) {
                self.problems.push(source.problem(node.start, format!("{} is also at {earlier}: keep one", object.id)));
            }
            objects.push(object);
        }
        self.problems.append(&mut filler.problems);
        Some((objects, filler.left()))
    }
}

/// Each file as a text, and what of it may be shown.
fn printed(filled: Vec<(&Template, Slots<'_>, Vec<Object>)>, values: &Values<'_>) -> Rendered {
    let (mut secret, mut open) = (BTreeSet::new(), BTreeSet::new());
    for (template, slots, objects) in &filled {
        for (tree, object) in template.documents.iter().zip(objects) {
            open.append(&mut secrets::in_name(template, tree, slots));
            if object.id.kind == ObjectKind::Secret {
                secret.append(&mut secrets::in_secret(template, tree, slots));
            }
        }
    }
    let is_hidden = |name: &str| secret.contains(name) && !open.contains(name);
    let of_secret = |name: &str, value: &Value| if is_hidden(name) { hidden(value) } else { value.clone() };
    let shown: Map<String, Value> =
        values.iter().map(|(name, value)| ((*name).to_owned(), of_secret(name, value))).collect();
    let shown: Values<'_> = shown.iter().map(|(name, value)| (name.as_str(), value)).collect();
    let mut rendered = Rendered::default();
    for (template, slots, objects) in filled {
        let file = file(template, objects, (&slots, &Slots::of(template, &shown)));
        let is_first = is_dependency(&file.file);
        if is_first { rendered.dependencies.push(file) } else { rendered.modules.push(file) }
    }
    rendered
}

fn file(template: &Template, objects: Vec<Object>, (whole, harmless): (&Slots<'_>, &Slots<'_>)) -> RenderedFile {
    let (mut whole, mut harmless) = (Printer::new(template, whole), Printer::new(template, harmless));
    for (tree, object) in template.documents.iter().zip(&objects) {
        whole.document(tree);
        if object.id.kind == ObjectKind::Secret { harmless.secret(tree) } else { harmless.document(tree) }
    }
    RenderedFile { file: template.source.file.clone(), text: whole.text(), shown: harmless.text(), objects }
}

/// The placeholders of all files by name, and what is wrong between the places where they stand.
fn placeholders(templates: &[Template], are_all: bool) -> (Vec<Placeholder>, Vec<Problem>) {
    let mut known: BTreeMap<String, (Placeholder, Option<Value>)> = BTreeMap::new();
    let mut problems = vec![];
    for template in templates {
        for (_, token, found) in template.uses() {
            let at = token.range.start;
            if let Some(what) = join(&mut known, template, at, found) {
                problems.push(template.source.problem(at, what));
            }
        }
    }
    let names: BTreeSet<String> = known.keys().cloned().collect();
    for template in templates {
        for (at, name, text) in &template.help {
            match known.get_mut(name) {
                Some((placeholder, _)) if placeholder.help.is_empty() => placeholder.help.clone_from(text),
                Some((placeholder, _)) => placeholder.help = format!("{} {text}", placeholder.help),
                None if !are_all => {}
                None => {
                    let hint = nearest(name, names.iter().map(String::as_str));
                    problems
                        .push(template.source.problem(*at, format!("no placeholder has the name \"{name}\"{hint}")));
                }
            }
        }
    }
    (known.into_values().map(|(placeholder, _)| placeholder).collect(), problems)
}

/// Takes in one more place; what does not agree with those before.
fn join(
    known: &mut BTreeMap<String, (Placeholder, Option<Value>)>,
    template: &Template,
    at: usize,
    found: &Use,
) -> Option<String> {
    let name = &found.name;
    let Some((first, default)) = known.get_mut(name) else {
        let (line, column) = template.source.line_column(at);
        let placeholder = Placeholder {
            name: name.clone(),
            kind: found.kind,
            default: found.default.clone().unwrap_or_else(|| found.kind.empty()),
            help: String::new(),
            file: template.source.file.clone(),
            line,
            column,
        };
        known.insert(name.clone(), (placeholder, found.default.clone()));
        return None;
    };
    let place = format!("{}:{}:{}", first.file, first.line, first.column);
    if first.kind != found.kind {
        let (here, there) = (found.kind.sign(), first.kind.sign());
        return Some(format!("{here}{{{name}}} is {there}{{{name}}} at {place}: give one of them another name"));
    }
    match (&default, &found.default) {
        (Some(earlier), Some(own)) if earlier != own => Some(format!(
            "the default of {name} is {own} here, and {earlier} at another place (first at {place}): write it once"
        )),
        (None, Some(own)) => {
            first.default = own.clone();
            *default = Some(own.clone());
            None
        }
        _ => None,
    }
}
