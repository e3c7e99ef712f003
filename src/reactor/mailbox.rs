//! The ways between cores: one bounded single-producer single-consumer ring for each ordered pair, and a flag that
//! tells a sender whether the receiver sleeps and must be woken.
