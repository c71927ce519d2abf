//! `CAPSHIM_*`: the environment, its entries ended by NUL as in environ(7).
#![no_main]

use std::ffi::{CStr, CString};

use capshim::accounts::environment::{self, Account};
use capshim::model::error::Exit;
use capshim::model::ids::{Id, Uid};
use capshim::settings::capabilities::Request;
use capshim::settings::names;
use capshim::settings::user::Ref;
use capshim::settings::{Config, Init, Log};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let owned: Vec<CString> =
        data.split(|&byte| byte == 0).filter_map(|entry| CString::new(entry).ok()).collect();
    let entries: Vec<&CStr> = owned.iter().map(CString::as_c_str).collect();
    match Config::parse(&entries) {
        Ok(config) => {
            printing_and_parsing_again_is_the_identity(&config);
            root_only_where_it_was_written(&config, &entries);
            init_mode_is_told_before_parsing(&config, &entries);
        }
        Err(refusal) => {
            assert_eq!(refusal.exit, Exit::Setting);
            let message = refusal.to_string();
            assert!(message.is_ascii() && message.len() < 2000, "{} bytes", message.len());
            let lines = 1 + usize::from(!refusal.ways.is_empty());
            assert_eq!(message.lines().count(), lines, "{message:?}");
        }
    }
    nothing_but_settings_leaves_the_environment(&entries);
});

fn printing_and_parsing_again_is_the_identity(config: &Config) {
    let Config { user, caps, groups, no_new_privs, init, log } = config;
    let log = match log {
        Log::Quiet => "quiet",
        Log::Warn => "warn",
        Log::Info => "info",
    };
    let mut printed = vec![
        format!("CAPSHIM_CAPS={caps}"),
        format!("CAPSHIM_GROUPS={groups}"),
        format!("CAPSHIM_NO_NEW_PRIVS={}", u8::from(*no_new_privs)),
        format!("CAPSHIM_INIT={init}"),
        format!("CAPSHIM_LOG={log}"),
    ];
    printed.extend(user.iter().map(|user| format!("CAPSHIM_USER={user}")));
    let printed: Vec<CString> = printed.into_iter().map(|entry| CString::new(entry).unwrap()).collect();
    let printed: Vec<&CStr> = printed.iter().map(CString::as_c_str).collect();
    assert_eq!(Config::parse(&printed).as_ref(), Ok(config));
}

/// Signals are blocked before anything is parsed.
fn init_mode_is_told_before_parsing(config: &Config, entries: &[&CStr]) {
    let told = entries.iter().any(|entry| names::may_ask_for_init(entry));
    assert_eq!(config.init != Init::Off, told);
}

fn root_only_where_it_was_written(config: &Config, entries: &[&CStr]) {
    let written = environment::value(entries, names::USER.as_bytes());
    assert_eq!(config.user.is_some(), written.is_some());
    if let (Some(spec), Some(written)) = (&config.user, written) {
        let user = written.split(|&byte| byte == b':').next().unwrap_or_default();
        assert_eq!(spec.is_root(), user == b"root" || user == b"0");
        if let Ref::Id(uid) = spec.user {
            assert!(uid.raw() != u32::MAX && (uid != Uid::ROOT || user == b"0"));
        }
    }
    if environment::value(entries, names::CAPS.as_bytes()).is_none() {
        assert_eq!(config.caps, Request::default());
    }
}

fn nothing_but_settings_leaves_the_environment(entries: &[&CStr]) {
    let nobody = Account { name: None, home: None };
    let kept = environment::for_application(entries, &nobody, &nobody, None);
    let ours = entries.iter().filter(|entry| names::is_setting(entry)).count();
    let home = entries.iter().any(|entry| names::split(entry).0 == b"HOME");
    assert_eq!(kept.len(), entries.len() - ours + usize::from(!home));
    assert!(!kept.iter().any(|entry| names::is_setting(entry)));
}
