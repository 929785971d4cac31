//! The list.

macro_rules! mutants {
    ($($(#[$meta:meta])* $variant:ident = $name:literal,)*) => {
        /// A planted bug.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Mutant {
            $($(#[$meta])* $variant,)*
        }

        impl Mutant {
            /// Every mutant, in the order of the list.
            pub const ALL: &[Mutant] = &[$(Mutant::$variant,)*];

            /// Its name on the command line.
            pub fn name(self) -> &'static str {
                match self {
                    $(Mutant::$variant => $name,)*
                }
            }

            /// The mutant of that name.
            pub fn by_name(name: &str) -> Option<Mutant> {
                Mutant::ALL.iter().copied().find(|mutant| mutant.name() == name)
            }
        }
    };
}

mutants! {
    /// Followers answer without a barrier.
    FollowerUngated = "follower-ungated",
    /// Leaders answer without a barrier.
    LeaderUngated = "leader-ungated",
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_mutant_is_found_by_its_own_name() {
        for mutant in Mutant::ALL {
            assert_eq!(Mutant::by_name(mutant.name()), Some(*mutant));
        }
        assert_eq!(Mutant::by_name("unknown"), None);
    }
}
