//! What entries have in common they share: most of a file comes from its defaults, and a pod and a template take kilobytes.

use std::sync::Arc;

use crate::config::{entry::Entry, job_config::JobTemplate, pod_config::PodConfig};

/// Different ones that entries are compared with: most files have one, in their defaults.
const DIFFERENT_MAX: usize = 16;

/// What entries have that others may have, too.
#[derive(Default)]
pub(super) struct Alike {
    pods: Vec<Arc<PodConfig>>,
    templates: Vec<JobTemplate>,
}

impl Alike {
    /// From here on the entry shares what one before it has, too.
    pub(super) fn share(&mut self, entry: &mut Entry) {
        let template = match entry {
            Entry::Queue(queue) => {
                let queue = Arc::make_mut(queue);
                share(&mut queue.pod_config, &mut self.pods);
                &mut queue.job_template
            }
            Entry::Service(service) => &mut Arc::make_mut(service).job_template,
        };
        if let Some(template) = template {
            share(template, &mut self.templates);
        }
    }
}

fn share<T: Clone + PartialEq>(part: &mut T, known: &mut Vec<T>) {
    match known.iter().find(|known| *known == part) {
        Some(known) => *part = known.clone(),
        None if known.len() < DIFFERENT_MAX => known.push(part.clone()),
        None => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::jobs_file::load;

    #[test]
    fn entries_share_their_pods_and_their_template_where_they_are_the_same() {
        let text = r#"{
            "defaults": {"podConfig": {"image": "a"}, "jobTemplate": {"spec": {"suspend": true}}},
            "jobs": [{"queueName": "x"}, {"queueName": "y"}, {"queueName": "z", "podConfig": {"image": "b"}}]
        }"#;
        let file = load("jobs.json", text).expect("a good file");
        let queues: Vec<_> = file.jobs.iter().filter_map(Entry::queue).collect();
        let has_pods_of =
            |at: usize| queues.iter().map(|it| Arc::ptr_eq(&it.pod_config, &queues[at].pod_config)).collect();
        let is_shared: [Vec<bool>; 2] = [has_pods_of(0), has_pods_of(2)];
        assert_eq!(is_shared, [[true, true, false], [false, false, true]]);
        let templates = queues.iter().filter_map(|queue| queue.job_template.as_ref());
        assert!(templates.clone().all(|it| Arc::ptr_eq(&it.0, &templates.clone().next().expect("a template").0)));
    }
}
