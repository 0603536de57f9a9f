//! A module with the values of a deployment in it.

use crate::modules::object::Object;

/// Everything that a deployment of a module consists of, in the order in which it is applied.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Rendered {
    /// The files of `dependencies/`, by name: they are applied first, and waited for.
    pub dependencies: Vec<RenderedFile>,
    /// The files of the module itself, by name.
    pub modules: Vec<RenderedFile>,
}

impl Rendered {
    /// All objects: dependencies first, then the module's, each by file and by their order in it.
    pub fn objects(&self) -> impl DoubleEndedIterator<Item = &Object> {
        self.dependencies.iter().chain(&self.modules).flat_map(|file| &file.objects)
    }
}

/// One file with its values in it.
#[derive(Clone, Debug, PartialEq)]
pub struct RenderedFile {
    /// Its path below the module's folder, as `redis.yaml` or `dependencies/volume.yaml`.
    pub file: String,
    /// The whole text, comments included: what a user could apply by hand. It holds the values of Secrets.
    pub text: String,
    /// The same with `(hidden)` in place of each value of a Secret, wherever its placeholder stands: what may be shown.
    pub shown: String,
    /// Its objects, in the order of the file.
    pub objects: Vec<Object>,
}

impl RenderedFile {
    /// Its name without the folder.
    pub fn name(&self) -> &str {
        self.file.rsplit_once('/').map_or(&self.file, |(_, name)| name)
    }
}
