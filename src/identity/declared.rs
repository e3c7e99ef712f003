//! Declared ids: names that a page or a server gives a visitor, by data source.

/// What a call says of the person behind a declared id.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
pub enum AuthState {
    #[default]
    Unknown = 0,
    Authenticated = 1,
    LoggedOut = 2,
}

impl AuthState {
    /// The protocol's 0, 1 and 2.
    pub fn from_number(number: u8) -> Option<AuthState> {
        match number {
            0 => Some(AuthState::Unknown),
            1 => Some(AuthState::Authenticated),
            2 => Some(AuthState::LoggedOut),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_numbers_are_states() {
        for state in [AuthState::Unknown, AuthState::Authenticated, AuthState::LoggedOut] {
            assert_eq!(AuthState::from_number(state as u8), Some(state));
        }
        assert_eq!(AuthState::from_number(3), None);
    }
}
