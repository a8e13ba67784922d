//! tidegate: watch, steer and undo a live database migration.

