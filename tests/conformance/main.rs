//! One battery for every adapter: what the engine relies on, said once, run on each database.
//!
//! A [`ground::Ground`] makes a pair of endpoints and an application that writes to them. A new adapter adds one ground and
//! one `battery!` line.

mod apply;
mod feed;
mod gate;
mod ground;
mod history;
mod land;
mod later;
mod parts;
mod postgres;
mod ranges;
mod sim;
mod sqlite;
mod values;
mod view;

/// Makes one test of each case, for one ground.
macro_rules! battery {
    ($name:ident, $ground:expr $(, #[$attribute:meta])?) => {
        mod $name {
            battery! { @cases $ground, $(#[$attribute])?
                view: one_instant_over_tables_and_calls, seen_is_exact_under_writers, applied_is_of_the_same_instant,
                      a_query_reads_and_never_writes, a_figure_is_the_one_cell_of_a_read, a_dropped_view_stops_its_work;
                ranges: chunks_partition_every_kind_of_key, a_budget_cuts_where_it_says, chunks_end_where_the_next_begins,
                        a_cut_near_the_end_is_one_like_any_other, keys_are_found_and_placed,
                        what_does_not_fit_is_found_once, digests_tell_every_difference;
                feed: every_change_is_delivered_as_of_its_position, a_dropped_call_loses_nothing, released_is_never_needed_again,
                      a_position_that_is_gone_is_refused;
                land: lands_rows_and_mark_as_one, landing_again_changes_nothing, counts_and_before_images_are_exact,
                      rows_exchange_unique_values, a_failed_landing_leaves_nothing, a_stolen_lease_writes_nothing,
                      a_target_that_has_gone_back_takes_nothing,
                      chunks_are_read_back, a_chunk_beyond_a_gap_does_not_count_yet;
                apply: the_net_effect_is_applied, updates_never_make_rows, each_batch_says_what_it_missed, partial_images_keep_cells,
                       unique_values_are_exchanged, a_failed_batch_leaves_nothing, the_position_never_goes_back,
                       a_large_transaction_is_applied_in_pieces, unique_values_are_exchanged_across_pieces,
                       a_failed_piece_leaves_nothing;
                later: rows_land_and_the_key_comes_when_it_is_needed, what_an_earlier_copy_landed_is_not_landed_twice,
                       a_key_is_made_once, every_way_to_look_for_a_row_makes_the_key;
                gate: closed_refuses_the_application_and_not_us, opening_lets_it_write_again, an_older_epoch_moves_nothing,
                      nothing_commits_after_the_barrier;
                parts: nothing_is_left_behind, done_again_it_changes_nothing, what_is_listed_is_what_is_made,
                       a_survey_without_sizes_says_all_else,
                       discarded_tables_are_gone;
                values: every_kind_of_value_survives, large_rows_survive;
            }
        }
    };
    (@cases $ground:expr, #[$attribute:meta] $($module:ident: $($case:ident),+;)+) => {
        $(mod $module {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            #[$attribute]
            async fn $case() {
                crate::$module::$case(&$ground).await;
            })+
        })+
    };
    (@cases $ground:expr, $($module:ident: $($case:ident),+;)+) => {
        $(mod $module {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $case() {
                crate::$module::$case(&$ground).await;
            })+
        })+
    };
}

battery!(on_sqlite, crate::sqlite::Files);
battery!(
    on_postgres,
    crate::postgres::Server,
    #[ignore = "needs a PostgreSQL server: tests/run starts one"]
);
battery!(
    on_sim_with_snapshots,
    crate::sim::Memory(tidegate::db::sim::Kind::Snapshots)
);
battery!(
    on_sim_with_prefixes,
    crate::sim::Memory(tidegate::db::sim::Kind::Prefix)
);
battery!(
    on_sim_with_dirty_keys,
    crate::sim::Memory(tidegate::db::sim::Kind::DirtyKeys)
);
