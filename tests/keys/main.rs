//! Keys as text against the console's update: what is sent, what is asked, what is said.

#[path = "../screen/story.rs"]
#[allow(dead_code, reason = "the story is told for the screens as well")]
mod story;

mod acting;
mod desk;
mod looking;
mod names;
mod repairs;
mod said;
mod table;
