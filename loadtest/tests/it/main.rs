//! The programs as they are used: started, asked, told to end.

mod peers;
