//! The way into the program: C's `main`, its arguments, and what the kernel left on the stack.

use std::ffi::{CStr, c_char};
use std::{ptr, slice};

/// Makes `$run` the program's C `main`, so that std's start-up does not run: it would set
/// SIGPIPE to ignored, which the application would inherit.
///
/// Where `$asks` says so of an entry of the environment, the first system call blocks all
/// signals: nothing before it makes one, not even for memory.
#[macro_export]
macro_rules! c_main {
    ($run:path, $asks:path) => {
        #[unsafe(no_mangle)]
        extern "C" fn main(_argc: std::ffi::c_int, argv: *const *const std::ffi::c_char) -> std::ffi::c_int {
            let blocked = $crate::system::block_signals_if($asks);
            // SAFETY: the C runtime calls main, with a null-terminated argv.
            let (args, environment) = unsafe { $crate::system::main_arguments(argv) };
            $run(&args, environment, blocked)
        }

        /// The unwinder's function by which a panic walks the stack. scripts/build-static makes
        /// no unwind tables, so there is nothing to walk. As this is known when linking, std's reader
        /// of debug information drops out: a third of the binary, which would open files where
        /// the environment has RUST_BACKTRACE.
        #[cfg(no_unwinder)]
        #[unsafe(no_mangle)]
        extern "C" fn _Unwind_Backtrace(
            _trace: *const std::ffi::c_void,
            _argument: *mut std::ffi::c_void,
        ) -> std::ffi::c_int {
            /// `_URC_END_OF_STACK`.
            const END_OF_STACK: std::ffi::c_int = 5;
            END_OF_STACK
        }

        // All else of the unwinder that std's code names. With it the linker takes nothing from
        // libunwind, where it would find a second _Unwind_Backtrace and fail.
        $crate::never_called! {
            _Unwind_GetDataRelBase _Unwind_GetIPInfo _Unwind_GetLanguageSpecificData
            _Unwind_GetRegionStart _Unwind_GetTextRelBase _Unwind_Resume _Unwind_SetGR _Unwind_SetIP
        }
    };
}

/// For `c_main!`: functions of the unwinder that nothing calls, since a panic aborts.
#[macro_export]
macro_rules! never_called {
    ($($function:ident)+) => { $(
        #[cfg(no_unwinder)]
        #[unsafe(no_mangle)]
        extern "C" fn $function() -> ! {
            std::process::abort()
        }
    )+ };
}

unsafe extern "C" {
    pub(super) static environ: *const *const c_char;
}

/// The arguments and the environment, as they stand in memory.
///
/// # Safety
/// `argv` must be what C's `main` was given, and this may be called once.
pub unsafe fn main_arguments(argv: *const *const c_char) -> (Vec<&'static CStr>, Environment) {
    // SAFETY: both are null-terminated arrays of C strings that live as long as the process;
    // nothing in this program calls setenv, and only `Environment::erase` writes to one.
    unsafe { (strings(argv).collect(), Environment(strings(environ).collect())) }
}

/// The environment that this process was started with. There is one.
pub struct Environment(Vec<&'static CStr>);

impl Environment {
    /// Its entries, which can be used as long as it is not erased.
    pub fn entries(&self) -> &[&CStr] {
        &self.0
    }

    /// Overwrites it where it lies, which is what /proc/PID/environ shows (proc(5)).
    pub fn erase(self) {
        drop(self);
        // SAFETY: the kernel put the strings on the initial stack, which can be written to, and no
        // two overlap. Nobody reads them any more: all that `entries` lent ended with `self`, of
        // which there is one. libc keeps only `environ`, which leads to empty strings now.
        unsafe {
            pointers_in(environ)
                .iter()
                .for_each(|entry| ptr::write_bytes(entry.cast_mut(), 0, libc::strlen(*entry)))
        }
    }
}

/// # Safety
/// `array` must be null or a null-terminated array of C strings that are not changed while they
/// are used.
pub(super) unsafe fn strings(array: *const *const c_char) -> impl Iterator<Item = &'static CStr> {
    // SAFETY: the caller's promise.
    unsafe { pointers_in(array).iter().map(|string| CStr::from_ptr(*string)) }
}

/// # Safety
/// `array` must be null or a null-terminated array that is not changed while it is used.
unsafe fn pointers_in<'a>(array: *const *const c_char) -> &'a [*const c_char] {
    if array.is_null() {
        return &[];
    }
    // SAFETY: each step stays within the array, whose end is the first null pointer.
    unsafe {
        let length = (0..).take_while(|&at| !(*array.add(at)).is_null()).count();
        slice::from_raw_parts(array, length)
    }
}

/// The path that execve(2) was given for this program (AT_EXECFN, getauxval(3)); empty if
/// the kernel did not say.
pub fn executed_path() -> &'static CStr {
    // SAFETY: getauxval takes a number; the kernel put the string on the initial stack.
    unsafe {
        match libc::getauxval(libc::AT_EXECFN) {
            0 => c"",
            address => CStr::from_ptr(address as *const c_char),
        }
    }
}

/// A number that is another one in every run, and that others cannot guess (AT_RANDOM,
/// getauxval(3)).
pub fn random_number() -> u64 {
    // SAFETY: getauxval takes a number; the address is 0 or that of 16 bytes, which the kernel
    // put on the initial stack. libc makes use of the first half.
    unsafe {
        match libc::getauxval(libc::AT_RANDOM) {
            0 => 0,
            address => ptr::read_unaligned((address as *const u64).add(1)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_path_of_this_program_is_known() {
        assert!(
            executed_path()
                .to_bytes()
                .ends_with(std::env::args().next().unwrap().rsplit('/').next().unwrap().as_bytes())
        );
    }
}
