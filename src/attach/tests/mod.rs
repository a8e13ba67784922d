//! Consoles that come, go, hang, die and are of another time, on an engine reduced to its ports.

mod consoles;
mod flow;
mod links;
mod rig;
