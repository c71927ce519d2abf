//! `CAPSHIM_USER` and `CAPSHIM_GROUPS`.
#![no_main]

use capshim::model::ids::{Id, Uid};

use capshim::settings::groups::GroupPolicy;

use capshim::settings::user::{Ref, UserSpec};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    if let Ok(spec) = text.parse::<UserSpec>() {
        assert_eq!(spec.to_string(), text);
        let (user, group) = text.split_once(':').unwrap_or((text, ""));
        as_written(&spec.user, user);
        assert_eq!(spec.group.is_some(), text.contains(':'));
        if let Some(written) = &spec.group {
            as_written(written, group);
        }
        assert_eq!(spec.is_root(), matches!(user, "root" | "0"));
        assert_eq!(spec.user == Ref::Id(Uid::ROOT), user == "0");
    }
    if let Ok(policy) = text.parse::<GroupPolicy>() {
        assert_eq!(policy.to_string().parse::<GroupPolicy>().as_ref(), Ok(&policy));
        let words = text.split([',', ' ']).filter(|word| !matches!(*word, "" | "auto" | "keep" | "none"));
        let words: Vec<&str> = words.collect();
        assert_eq!(policy.listed.len(), words.len());
        policy.listed.iter().zip(words).for_each(|(group, word)| as_written(group, word));
    }
});

fn as_written<T: Id>(parsed: &Ref<T>, written: &str) {
    match parsed {
        Ref::Id(id) => {
            assert_ne!(id.raw(), u32::MAX);
            assert_eq!(id.to_string(), written);
        }
        Ref::Name(name) => {
            assert_eq!(name, written);
            assert!(name.contains(|c: char| !c.is_ascii_digit()), "a number found as a name: {name}");
        }
    }
}
