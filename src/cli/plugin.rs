//! `kubectl job-chief`: kubectl runs the executable of this name on the PATH.

use std::path::Path;

/// The name of the executable by which kubectl finds it.
const EXECUTABLE: &str = "kubectl-job_chief";

/// How people call it then.
pub(super) const CALLED: &str = "kubectl job-chief";

/// What is said where no cluster was named.
pub(super) const NO_CONTEXT: &str = "which cluster? Say kubectl job-chief --context NAME [--namespace NAMESPACE]. The \
     current context is never used by itself, and kubectl passes --context on only after the plugin's name";

/// Whether kubectl has called us.
pub(super) fn is_kubectl() -> bool {
    std::env::args_os().next().is_some_and(|program| names_plugin(Path::new(&program)))
}

fn names_plugin(program: &Path) -> bool {
    program.file_stem().is_some_and(|name| name == EXECUTABLE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_known_by_its_name_alone() {
        assert!(names_plugin(Path::new("/usr/local/bin/kubectl-job_chief")));
        assert!(names_plugin(Path::new("kubectl-job_chief.exe")));
        assert!(!names_plugin(Path::new("/kubectl-job_chief/job-chief")));
    }
}
