//! A start is refused: what is said, and that doing what the hint says ends in a start.

mod grants;
mod hints;
mod settings;
