//! The policies broken in one place after the other: the other tests would see it. What a run over
//! pods does not show is in [`super::shape`].

use super::policy::{self, Change};
use super::{WAYS, pods, refusals};

/// The condition of the second policy of the file.
const NOT_STATIC_AGAIN: &str = "!has(object.metadata.annotations) || !('kubernetes.io/config.mirror' in \
                                object.metadata.annotations)\n  variables:\n    - name: metadata";

const BREAKS: &[Change] = &[
    // A second invocation doubles it.
    ("inject.yaml", "!object.spec.volumes.exists(v, v.name == 'capshim')", "true"),
    ("inject.yaml", "!('kubernetes.io/config.mirror' in object.metadata.annotations)", "true"),
    ("inject.yaml", "[{ key: capshim.internal/caps, operator: Exists }]", "[]"),
    ("inject.yaml", "[\"CREATE\"]", "[\"UPDATE\"]"),
    ("inject.yaml", "['capshim.internal/caps'].lowerAscii()", "['capshim.internal/caps']"),
    ("inject.yaml", "split('.')", "split('_')"),
    (
        "inject.yaml",
        "annotations['capshim.internal/containers'].split(',')",
        "annotations['capshim.internal/containers'].split('.')",
    ),
    ("inject.yaml", "[object.spec.containers[0].name]", "object.spec.containers.map(c, c.name)"),
    ("inject.yaml", "\"capshim-caps:0.1.0\", pullPolicy", "\"capshim:0.1.0\", pullPolicy"),
    ("inject.yaml", "containers.filter(c, c.name in variables.names).map(", "containers.map("),
    ("inject.yaml", "transformList(i, c, c.name in variables.names,", "transformList(i, c,"),
    ("inject.yaml", "runAsNonRoot: true, ", ""),
    ("inject.yaml", "mountPath: \"/.capshim\", readOnly: true", "mountPath: \"/.capshim\""),
    ("inject.yaml", "drop: [\"ALL\"], ", ""),
    ("inject.yaml", "cap.upperAscii()", "cap"),
    ("inject.yaml", "/command/0\"", "/command/-\""),
    ("inject.yaml", "has(c.command) && c.command.size() > 0", "has(c.command) && c.command.size() > 1"),
    ("inject.yaml", "!(cap in variables.served)", "false"),
    ("inject-init-container.yaml", "!(cap in variables.served)", "false"),
    ("inject-init-container.yaml", "'chown', ", "'chown', 'setuid', "),
    ("inject.yaml", NOT_STATIC_AGAIN, "true\n  variables:\n    - name: metadata"),
    ("inject.yaml", "jobTemplate.spec.template.metadata", "jobTemplate.metadata"),
    ("inject-init-container.yaml", "!object.spec.volumes.exists(v, v.name == 'capshim')", "true"),
    ("inject-init-container.yaml", "!('kubernetes.io/config.mirror' in object.metadata.annotations)", "true"),
    ("inject-init-container.yaml", "runAsUser: 0", "runAsUser: 1"),
    ("inject-init-container.yaml", "add: [\"SETFCAP\"]", "add: [\"SETFCAP\", \"CHOWN\"]"),
    ("inject-init-container.yaml", "path: \"/spec/initContainers/0\"", "path: \"/spec/initContainers/1\""),
    ("inject-init-container.yaml", "c.name == \"capshim\"", "c.name == \"prepare\""),
    (
        "inject-init-container.yaml",
        "\"--file-caps\", variables.caps.join(\",\")",
        "\"--file-caps\", variables.caps.join(\".\")",
    ),
    ("validate.yaml", "!('kubernetes.io/config.mirror' in object.metadata.annotations)", "true"),
    (
        "validate.yaml",
        "object.kind == 'CronJob' ? object.spec.jobTemplate.spec.template",
        "object.kind == 'Job' ? object.spec.jobTemplate.spec.template",
    ),
    ("validate.yaml", "&& 'capshim.internal/caps' in", "|| 'capshim.internal/caps' in"),
    ("validate.yaml", "[variables.pod.spec.containers[0].name]", "[]"),
    ("validate.yaml", "!variables.pod.spec.containers.exists(c, c.name == n)", "false"),
    ("validate.yaml", "(!has(c.command) || c.command.size() == 0)", "!has(c.command)"),
    ("validate.yaml", "(!has(c.command) || c.command.size() == 0)", "false"),
    ("validate.yaml", "variables.silent.size() == 0", "true"),
    ("validate.yaml", "object.kind != 'Pod'", "false"),
    ("validate.yaml", "!(c.name in variables.names) || c.name in variables.shimmed", "true"),
    ("validate.yaml", "variables.shimmed.size() > 0", "true"),
    ("validate.yaml", "variables.shimmed.size() > 0", "variables.names.all(n, n in variables.shimmed)"),
    ("validate.yaml", "filter(c, has(c.command) && c.command.size() > 0)", "filter(c, has(c.command))"),
    ("guard.yaml", "!('kubernetes.io/config.mirror' in object.metadata.annotations)", "true"),
    ("guard.yaml", "filter(c, !(c.name in variables.labelled))", "filter(c, true)"),
    ("guard.yaml", "(has(variables.pod.spec.initContainers) ? variables.pod.spec.initContainers : [])", "[]"),
    ("guard.yaml", "['CAPSHIM_USER', 'CAPSHIM_CAPS']", "['CAPSHIM_CAPS']"),
    ("guard.yaml", "has(c.env) && c.env", "c.env"),
    ("guard.yaml", "c.command.size() > 0", "c.command.size() > 1"),
    ("guard.yaml", "c.command[0] != 'capshim' && ", ""),
    ("guard.yaml", "endsWith('/capshim')", "endsWith('capshim')"),
    ("guard.yaml", "variables.bypassed.size() == 0", "true"),
];

#[test]
fn a_policy_that_is_broken_is_seen_to_be() {
    let unseen = BREAKS.iter().filter(|change| {
        let way = WAYS.iter().position(|files| files.contains(&change.0)).expect("a file");
        let objects = policy::load(&WAYS[way], &[**change]);
        pods::differences(way, &objects).is_empty() && refusals::differences(&objects).is_empty()
    });
    assert_eq!(unseen.collect::<Vec<_>>(), Vec::<&Change>::new());
}
