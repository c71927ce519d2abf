//! `CAPSHIM_CAPS`: the capabilities that are asked for.
//!
//! Pure.
#![forbid(unsafe_code)]

use std::fmt;
use std::str::FromStr;

use crate::model::caps::{CapSet, NAMES};
use crate::model::error::{Refusal, shown};
use crate::settings::words::{self, nearest};

/// What `CAPSHIM_CAPS` asks for.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Request {
    pub required: CapSet,
    /// Written with a trailing `?`. One that is not available is left out with a warning.
    pub optional: CapSet,
}

impl FromStr for Request {
    type Err = Refusal;

    /// Names separated by commas or spaces, or `none`.
    fn from_str(text: &str) -> Result<Request, Refusal> {
        let mut request = Request::default();
        let mut none = false;
        for word in words::list(text)? {
            if word.eq_ignore_ascii_case("none") {
                none = true;
                continue;
            }
            let (name, set) = match word.strip_suffix('?') {
                Some(name) => (name, &mut request.optional),
                None => (word, &mut request.required),
            };
            *set = *set | parse_cap(name)?;
        }
        let both = request.required & request.optional;
        if !both.is_empty() {
            return Err(Refusal::wrong(format!("lists {both} with and without ?"))
                .hint("write it once: with ? if the application can do without")
                .or("without ? if it cannot"));
        }
        if none && !(request.required | request.optional).is_empty() {
            return Err(Refusal::wrong("lists none beside capabilities")
                .hint("write none alone")
                .or("leave none out of the list"));
        }
        Ok(request)
    }
}

/// The text that parses to the same request again.
impl fmt::Display for Request {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let required = self.required.names();
        let optional = self.optional.names().map(|name| name + "?");
        let all: Vec<String> = required.chain(optional).collect();
        f.write_str(if all.is_empty() { "none" } else { "" })?;
        f.write_str(&all.join(", "))
    }
}

fn parse_cap(word: &str) -> Result<CapSet, Refusal> {
    let upper = word.to_ascii_uppercase();
    let name = upper.strip_prefix("CAP_").unwrap_or(&upper);
    if name == "ALL" {
        return Err(Refusal::wrong("asks for all capabilities")
            .hint("list the ones that the application needs: it gets exactly those"));
    }
    NAMES.iter().position(|known| *known == name).map(|number| CapSet::from_bits(1 << number)).ok_or_else(
        || {
            let near = nearest(name, NAMES.into_iter());
            Refusal::wrong(format!("has an unknown capability '{}'", shown(word.as_bytes())))
                .hint(format!("the nearest one is {near}; capabilities(7) lists them all"))
        },
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn required(text: &str) -> String {
        text.parse::<Request>().unwrap().to_string()
    }

    #[test]
    fn any_case_prefix_and_separator_is_understood() {
        for text in ["ipc_lock,NET_RAW", "CAP_IPC_LOCK net_raw", "Cap_Net_Raw,  ipc_lock", "net_raw ipc_lock"]
        {
            assert_eq!(required(text), "NET_RAW, IPC_LOCK", "{text}");
        }
        assert_eq!(required("none"), "none");
        assert_eq!(required("NONE"), "none");
        assert_eq!(required("perfmon?,ipc_lock"), "IPC_LOCK, PERFMON?");
        assert_eq!(required("net_raw,net_raw"), "NET_RAW");
    }

    #[test]
    fn printing_and_parsing_again_is_the_identity() {
        for bits in [0, 1, 1 << 40, (1 << 41) - 1, 0x1555_5555_5555 & ((1 << 41) - 1)] {
            let request = Request {
                required: CapSet::from_bits(bits),
                optional: CapSet::from_bits(!bits & ((1 << 41) - 1) & 0xff00),
            };
            assert_eq!(request.to_string().parse::<Request>().unwrap(), request);
        }
    }

    #[test]
    fn anything_that_is_not_a_list_of_capabilities_is_an_error() {
        for text in [
            "",
            " ",
            ",",
            "net_raw,",
            ",net_raw",
            "net_raw,,ipc_lock",
            "net_raw, ,ipc_lock",
            "all",
            "CAP_ALL",
            "all?",
            "none,net_raw",
            "none net_raw?",
            "none?",
            "net_raw,net_raw?",
            "?",
            "cap_",
            "CAP_CAP_NET_RAW",
            "net_raw??",
            "+net_raw",
            "=ep",
            "net_raw=p",
            "14",
            "0x4000",
            "net_raw;ipc_lock",
            "net_raw\tipc_lock",
        ] {
            assert!(text.parse::<Request>().is_err(), "{text:?} was accepted");
        }
    }

    #[test]
    fn a_misspelt_capability_is_answered_with_the_nearest_one() {
        let refusal = "ipc_lok".parse::<Request>().unwrap_err();
        assert_eq!(refusal.cause, "has an unknown capability 'ipc_lok'");
        assert!(refusal.ways[0].starts_with("the nearest one is IPC_LOCK"));
    }
}
