//! The entry of the program: C's `main`, its arguments, and what the kernel put on the stack.

use std::ffi::{CStr, c_char};
use std::{ptr, slice};

/// Makes `$run` the program's C `main`. std's own start-up would set SIGPIPE to ignored, and the application
/// would inherit that.
///
/// If `$asks` returns true for an entry of the environment, the first system call blocks all signals. Nothing
/// before it makes a system call, not even to allocate memory.
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

        /// A panic calls this function of the unwinder to walk the stack. scripts/build-static makes no
        /// unwind tables, so there is nothing to walk. The linker sees that and drops std's reader of debug
        /// information. That reader is a third of the binary, and opens files if RUST_BACKTRACE is set.
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

        // The other unwinder functions that std names. Without them the linker would search libunwind, find a
        // second _Unwind_Backtrace there and fail.
        $crate::never_called! {
            _Unwind_GetDataRelBase _Unwind_GetIPInfo _Unwind_GetLanguageSpecificData
            _Unwind_GetRegionStart _Unwind_GetTextRelBase _Unwind_Resume _Unwind_SetGR _Unwind_SetIP
        }
    };
}

/// For `c_main!`: functions of the unwinder that nothing calls, because a panic aborts.
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

/// The arguments and the environment, not copied.
///
/// # Safety
/// `argv` must be the argument of C's `main`. Call this at most once.
pub unsafe fn main_arguments(argv: *const *const c_char) -> (Vec<&'static CStr>, Environment) {
    // SAFETY: both are null-terminated arrays of C strings that live as long as the process. Nothing in this
    // program calls setenv, and only `Environment::erase` writes to a string.
    unsafe { (strings(argv).collect(), Environment(strings(environ).collect())) }
}

/// The environment that this process was started with. Only one value of this type exists.
pub struct Environment(Vec<&'static CStr>);

impl Environment {
    /// The entries, which are valid until `erase`.
    pub fn entries(&self) -> &[&CStr] {
        &self.0
    }

    /// Overwrites the environment in place, so that /proc/PID/environ shows nothing (proc(5)).
    pub fn erase(self) {
        drop(self);
        // SAFETY: the kernel put the strings on the initial stack, which is writable, and no two overlap.
        // Nobody reads them any more. Every loan by `entries` ended with `self`, the only value of its type.
        // libc keeps only `environ`, which now leads to empty strings.
        unsafe {
            pointers_in(environ)
                .iter()
                .for_each(|entry| ptr::write_bytes(entry.cast_mut(), 0, libc::strlen(*entry)))
        }
    }
}

/// # Safety
/// `array` must be null or a null-terminated array of C strings. Nobody may change them while they are used.
pub(super) unsafe fn strings(array: *const *const c_char) -> impl Iterator<Item = &'static CStr> {
    // SAFETY: the caller's promise.
    unsafe { pointers_in(array).iter().map(|string| CStr::from_ptr(*string)) }
}

/// # Safety
/// `array` must be null or a null-terminated array. Nobody may change it while it is used.
unsafe fn pointers_in<'a>(array: *const *const c_char) -> &'a [*const c_char] {
    if array.is_null() {
        return &[];
    }
    // SAFETY: each step stays within the array, which ends at the first null pointer.
    unsafe {
        let length = (0..).take_while(|&at| !(*array.add(at)).is_null()).count();
        slice::from_raw_parts(array, length)
    }
}

/// The path that execve(2) was given for this program (AT_EXECFN, getauxval(3)); empty if unknown.
pub fn executed_path() -> &'static CStr {
    // SAFETY: getauxval takes a number; the kernel put the string on the initial stack.
    unsafe {
        match libc::getauxval(libc::AT_EXECFN) {
            0 => c"",
            address => CStr::from_ptr(address as *const c_char),
        }
    }
}

/// A random number that others cannot guess (AT_RANDOM, getauxval(3)); 0 if the kernel gave none.
pub fn random_number() -> u64 {
    // SAFETY: getauxval takes a number. Its result is 0 or the address of 16 bytes on the initial stack. libc
    // uses the first half, so this reads the second.
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
