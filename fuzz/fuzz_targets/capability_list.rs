//! `CAPSHIM_CAPS`.
#![no_main]

use capshim::model::caps::{CapSet, NAMES, name};

use capshim::settings::capabilities::Request;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let Ok(request) = text.parse::<Request>() else { return };
    assert_eq!(request.to_string().parse::<Request>(), Ok(request));
    assert!((request.required & request.optional).is_empty());
    assert_eq!(request.required | request.optional, written(text));
});

/// Found the other way round: which known names are among the words.
fn written(text: &str) -> CapSet {
    let words: Vec<String> = text.split([',', ' ']).map(|word| word.to_ascii_uppercase()).collect();
    let is_there = |number: &u8| {
        let name = name(*number);
        let spellings = [name.clone(), format!("CAP_{name}"), format!("{name}?"), format!("CAP_{name}?")];
        words.iter().any(|word| spellings.contains(word))
    };
    CapSet::from_bits((0..NAMES.len() as u8).filter(is_there).fold(0, |bits, number| bits | 1 << number))
}
