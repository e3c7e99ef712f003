//! What the server promises it promises on each runtime: tests are functions of the runtime, made twice by this macro.

/// Makes `uring::NAME` and `glommio::NAME`, two tests, of each of these functions, which take one argument: what the
/// module above theirs calls `URING` or `GLOMMIO`.
///
/// A function that is forgotten here is dead code, which the compiler tells.
macro_rules! on_each_runtime {
    ($($name:ident),+ $(,)?) => {
        mod uring {
            $(#[test]
            fn $name() {
                super::$name(super::super::URING);
            })+
        }

        mod glommio {
            $(#[test]
            fn $name() {
                super::$name(super::super::GLOMMIO);
            })+
        }
    };
}
