//! What preflight says, of a bad database and of a role without rights.

use super::ground::{Base, plan, server, server_as};
use crate::db::Beside;
use crate::db::Sizes;
use crate::db::postgres::{beside, findings, survey};
use crate::domain::finding::{Finding, Stage};
use crate::domain::key::Collation;
use crate::domain::plan::{Plan, Side};
use crate::domain::table::{KeySpec, Mode};

async fn found(server: &crate::db::postgres::connect::Server, plan: &Plan) -> Vec<Finding> {
    let mut session = server.session().await.unwrap();
    findings::findings(&mut session, server, plan)
        .await
        .unwrap()
}

async fn not_carried(
    server: &crate::db::postgres::connect::Server,
    plan: &Plan,
    there: Option<&Beside>,
) -> Vec<Finding> {
    let mut session = server.session().await.unwrap();
    findings::not_carried(&mut session, plan, there)
        .await
        .unwrap()
}

fn one<'a>(found: &'a [Finding], code: &str) -> &'a Finding {
    found
        .iter()
        .find(|finding| finding.code == code)
        .unwrap_or_else(|| panic!("{code} in {found:#?}"))
}

#[tokio::test]
#[ignore = "needs a PostgreSQL server: tests/run starts one"]
async fn a_sound_database_has_nothing_that_blocks() {
    let base = Base::new("sound", "").await;
    base.run("CREATE TABLE public.t (id int PRIMARY KEY)").await;
    let server = server(&base.url, Side::Source);
    let plan = plan(
        &survey::survey(&mut server.session().await.unwrap(), Sizes::Told)
            .await
            .unwrap(),
    );
    for side in [Side::Source, Side::Target] {
        let found = found(&super::ground::server(&base.url, side), &plan).await;
        let blocking: Vec<_> = found
            .iter()
            .filter(|finding| finding.stage != Stage::KnowBefore)
            .collect();
        assert!(blocking.is_empty(), "{blocking:#?}");
        assert_eq!(
            found.iter().any(|finding| finding.code == "WAL-KEPT"),
            side == Side::Source
        );
    }
    base.drop().await;
}

#[tokio::test]
#[ignore = "needs a PostgreSQL server: tests/run starts one"]
async fn a_role_without_rights_gets_the_statements_that_help() {
    let base = Base::new("rights", "").await;
    let role = base.name.clone();
    base.run(&format!(
        "CREATE ROLE {role} LOGIN; CREATE TABLE public.t (id int PRIMARY KEY); CREATE TABLE public.hidden (id int PRIMARY KEY); \
         CREATE TABLE public.child (id int PRIMARY KEY, t int REFERENCES public.t); \
         ALTER TABLE public.hidden ENABLE ROW LEVEL SECURITY; CREATE SCHEMA \"No Entry\"; CREATE TABLE \"No Entry\".t (id int PRIMARY KEY); \
         CREATE POLICY p ON public.hidden USING (id > 1); GRANT SELECT ON public.hidden TO {role}"
    ))
    .await;
    let all = survey::survey(&mut base.session(Side::Source).await, Sizes::Told)
        .await
        .unwrap();
    let source = found(&server_as(&base.url, &role, Side::Source), &plan(&all)).await;
    let sql = |code: &str| one(&source, code).sql.join("\n");
    assert_eq!(
        sql("REPLICATION-ROLE"),
        format!("ALTER ROLE \"{role}\" REPLICATION")
    );
    assert!(
        sql("GRANTS").contains(&format!("GRANT USAGE ON SCHEMA \"No Entry\" TO \"{role}\"")),
        "{}",
        sql("GRANTS")
    );
    assert!(sql("GRANTS").contains(&format!("GRANT SELECT ON \"public\".\"t\" TO \"{role}\"")));
    assert_eq!(
        sql("PUB-OWNER"),
        format!("GRANT \"postgres\" TO \"{role}\"")
    );
    assert!(sql("CREATE-RIGHT").starts_with("GRANT CREATE ON DATABASE"));
    assert_eq!(
        one(&source, "ROW-SECURITY").table.as_deref(),
        Some("public.hidden")
    );
    let left = not_carried(
        &server_as(&base.url, &role, Side::Source),
        &plan(&all),
        None,
    )
    .await;
    let policies = &one(&left, "ROW-SECURITY-NOT-CARRIED").sql;
    assert!(
        policies[0].starts_with("CREATE POLICY p ON "),
        "{policies:?}"
    );
    assert_eq!(
        one(&source, "ACTIVITY-HIDDEN").sql,
        [format!("GRANT pg_monitor TO \"{role}\"")]
    );
    let target = found(&server_as(&base.url, &role, Side::Target), &plan(&all)).await;
    let silent = one(&target, "TRIGGERS-FIRE");
    assert!(silent.evidence.contains("child_t_fkey"), "{silent:?}");
    assert_eq!(one(&target, "PUB-OWNER").stage, Stage::BlocksCutover);

    // Given all of that, nothing blocks any more.
    let mut admin = base.session(Side::Source).await;
    for finding in source
        .iter()
        .chain(&target)
        .filter(|finding| finding.stage != Stage::KnowBefore)
    {
        for sql in &finding.sql {
            admin
                .run(sql, "grant")
                .await
                .unwrap_or_else(|fault| panic!("{sql}: {fault}"));
        }
    }
    for side in [Side::Source, Side::Target] {
        let left = found(&server_as(&base.url, &role, side), &plan(&all)).await;
        let blocking: Vec<_> = left
            .iter()
            .filter(|finding| finding.stage != Stage::KnowBefore)
            .collect();
        assert!(blocking.is_empty(), "{blocking:#?}");
    }
    drop(admin);
    base.run(&format!(
        "DROP OWNED BY {role} CASCADE; REVOKE SET ON PARAMETER session_replication_role FROM {role}; DROP ROLE {role}"
    ))
    .await;
    base.drop().await;
}

#[tokio::test]
#[ignore = "needs a PostgreSQL server: tests/run starts one"]
async fn what_would_hurt_the_application_is_found() {
    let base = Base::new("bad", "").await;
    base.run(
        "CREATE EXTENSION citext SCHEMA public; CREATE TABLE public.parent (id smallint GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY); \
         CREATE TABLE public.stays (id int PRIMARY KEY); CREATE TABLE public.child (id int PRIMARY KEY, s int REFERENCES public.stays); \
         CREATE TABLE public.folded (id public.citext PRIMARY KEY); CREATE TABLE public.loose (id numeric PRIMARY KEY); \
         INSERT INTO public.child VALUES (2000000000); ALTER SEQUENCE public.parent_id_seq RESTART 32000; \
         INSERT INTO public.parent DEFAULT VALUES; CREATE TABLE public.nameless (id int PRIMARY KEY); \
         CREATE FUNCTION public.e() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN END'; \
         CREATE EVENT TRIGGER watch ON ddl_command_end EXECUTE FUNCTION public.e()",
    )
    .await;
    let source = server(&base.url, Side::Source);
    let mut survey = survey::survey(&mut source.session().await.unwrap(), Sizes::Told)
        .await
        .unwrap();
    base.run("ALTER TABLE public.nameless REPLICA IDENTITY NOTHING")
        .await;
    survey
        .tables
        .retain(|found| found.table.source != "public.stays");
    let found_here = found(&source, &plan(&survey)).await;
    let on = |code: &str, table: &str| {
        let found = found_here
            .iter()
            .find(|f| f.code == code && f.table.as_deref() == Some(table));
        found
            .unwrap_or_else(|| panic!("{code} on {table}: {found_here:#?}"))
            .clone()
    };
    assert_eq!(
        on("REPLICA-ID", "public.nameless").sql,
        ["ALTER TABLE \"public\".\"nameless\" REPLICA IDENTITY DEFAULT"]
    );
    assert_eq!(
        on("SCHEMA-DIFFERS", "public.nameless").stage,
        Stage::BlocksCopy
    );
    assert_eq!(on("KEY-FOLDS", "public.folded").stage, Stage::BlocksCopy);
    assert_eq!(on("KEY-FOLDS", "public.loose").stage, Stage::KnowBefore);
    assert_eq!(
        on("FOREIGN-KEY-TIE", "public.child").stage,
        Stage::BlocksCutover
    );
    assert!(on("ID-HEADROOM", "public.child").evidence.contains("93 %"));
    assert!(on("ID-HEADROOM", "public.parent").evidence.contains("98 %"));

    // The same database as a target, of a plan that wants other things there.
    let mut plan = plan(&survey);
    let child = plan
        .tables
        .iter_mut()
        .find(|table| table.source == "public.child")
        .unwrap();
    child.columns.truncate(1);
    child.columns[0].declared = "bigint".to_owned();
    child.mode = Mode::Live(KeySpec {
        columns: vec![0],
        collations: vec![Collation::Binary],
    });
    let there = found(&server(&base.url, Side::Target), &plan).await;
    assert!(one(&there, "EVENT-TRIGGER").evidence.contains("watch"));
    assert_eq!(
        one(&there, "TARGET-TYPES").evidence,
        "id: bigint on the source, integer on the target"
    );
    assert_eq!(one(&there, "TARGET-EXTRA-COLUMNS").evidence, "s");
    base.drop().await;
}

#[tokio::test]
#[ignore = "needs a PostgreSQL server: tests/run starts one"]
async fn what_roles_have_here_is_told_as_statements_for_there() {
    let base = Base::new("carried", "").await;
    let role = base.name.clone();
    base.run(&format!(
        "CREATE ROLE {role} LOGIN; CREATE TABLE public.t (id int PRIMARY KEY); CREATE TABLE public.theirs (id int PRIMARY KEY); \
         ALTER TABLE public.theirs OWNER TO {role}; GRANT SELECT, INSERT ON public.t TO {role}; \
         CREATE TABLE public.behind (n int); ALTER TABLE public.behind OWNER TO {role}; GRANT SELECT ON public.behind TO PUBLIC; \
         ALTER TABLE public.theirs ENABLE ROW LEVEL SECURITY; ALTER TABLE public.theirs FORCE ROW LEVEL SECURITY; \
         CREATE POLICY \"own % ON x\" ON public.theirs FOR UPDATE TO {role}, PUBLIC USING (id > 1) WITH CHECK (id > 2); \
         ALTER ROLE {role} IN DATABASE {role} SET search_path TO app, \"Other\"; ALTER ROLE {role} SET statement_timeout TO '5s'; \
         ALTER ROLE {role} SET app.key TO 'hunter2'"
    ))
    .await;
    let source = server(&base.url, Side::Source);
    let survey = survey::survey(&mut source.session().await.unwrap(), Sizes::Told).await;
    let mut plan = plan(&survey.unwrap());
    for table in &mut plan.tables {
        table.target = table.target.replace("public.", "moved.");
    }
    let found = not_carried(&source, &plan, None).await;
    let sql = |code: &str| one(&found, code).sql.clone();
    assert_eq!(
        sql("GRANTS-NOT-CARRIED"),
        [format!("GRANT INSERT, SELECT ON TABLE moved.t TO {role}")]
    );
    assert_eq!(
        sql("OWNERS-NOT-CARRIED"),
        [format!("ALTER TABLE moved.theirs OWNER TO {role}")]
    );
    let policy = format!(
        "CREATE POLICY \"own % ON x\" ON moved.theirs AS PERMISSIVE FOR UPDATE TO {role}, PUBLIC USING ((id > 1)) WITH CHECK ((id > 2))"
    );
    let row_security = sql("ROW-SECURITY-NOT-CARRIED");
    assert_eq!(
        row_security[1..],
        [
            "ALTER TABLE moved.theirs ENABLE ROW LEVEL SECURITY",
            "ALTER TABLE moved.theirs FORCE ROW LEVEL SECURITY"
        ]
    );
    assert!(
        row_security[0] == policy || row_security[0].contains("TO PUBLIC"),
        "{row_security:?}"
    );
    let settings = sql("SETTINGS-NOT-CARRIED");
    for wanted in [
        format!("ALTER ROLE {role} IN DATABASE {role} SET search_path TO app, \"Other\""),
        format!("ALTER ROLE {role} SET statement_timeout TO '5s'"),
    ] {
        assert!(settings.contains(&wanted), "{settings:?}");
    }
    assert!(
        one(&found, "SETTINGS-NOT-CARRIED")
            .evidence
            .contains("app.key")
    );
    assert!(!format!("{found:?}").contains("hunter2"));
    // They are statements that a server takes.
    base.run("CREATE SCHEMA moved; CREATE TABLE moved.t (id int PRIMARY KEY); CREATE TABLE moved.theirs (id int PRIMARY KEY)")
        .await;
    let codes = [
        "GRANTS-NOT-CARRIED",
        "OWNERS-NOT-CARRIED",
        "ROW-SECURITY-NOT-CARRIED",
        "SETTINGS-NOT-CARRIED",
    ];
    for statement in codes.into_iter().flat_map(sql) {
        base.run(&statement).await;
    }
    // What is so there is told no more; here it is the same database, seen as the target.
    let mut session = base.session(Side::Target).await;
    let mut there = beside::beside(&mut session).await.unwrap();
    base.run("DROP SCHEMA moved CASCADE").await;
    let left = not_carried(&source, &plan, Some(&there)).await;
    assert_eq!(left, []);

    // Each thing by itself, and each right by itself.
    for gone in [
        format!("GRANT SELECT ON TABLE moved.t TO {role}"),
        format!("ALTER TABLE moved.theirs OWNER TO {role}"),
        "ALTER TABLE moved.theirs FORCE ROW LEVEL SECURITY".to_owned(),
        format!("ALTER ROLE {role} SET app.key TO 'hunter2'"),
    ] {
        assert!(there.made.remove(&gone), "{gone}");
    }
    let left = not_carried(&source, &plan, Some(&there)).await;
    let told = |code: &str| {
        (
            one(&left, code).evidence.clone(),
            one(&left, code).sql.clone(),
        )
    };
    assert_eq!(
        told("GRANTS-NOT-CARRIED"),
        (
            format!("1 of 1 grant is not on the target, to {role}"),
            vec![format!("GRANT SELECT ON TABLE moved.t TO {role}")]
        )
    );
    assert_eq!(
        told("OWNERS-NOT-CARRIED").0,
        format!("1 of 1 thing does not belong to {role} on the target")
    );
    assert_eq!(
        told("ROW-SECURITY-NOT-CARRIED"),
        (
            "row security is not the same on the target for public.theirs".to_owned(),
            vec!["ALTER TABLE moved.theirs FORCE ROW LEVEL SECURITY".to_owned()]
        )
    );
    let (evidence, sql) = told("SETTINGS-NOT-CARRIED");
    assert!(
        evidence.ends_with(" is not on the target: app.key"),
        "{evidence}"
    );
    assert_eq!(sql, Vec::<String>::new());
    assert!(!format!("{left:?}").contains("hunter2"));

    // Another name of the database, no such role, and an older version that lacks a right.
    there.database = "\"Shop\"".to_owned();
    there.roles.remove(&role);
    there.rights.remove("SELECT");
    there
        .made
        .remove(&format!("GRANT INSERT ON TABLE moved.t TO {role}"));
    let left = not_carried(&source, &plan, Some(&there)).await;
    let grants = one(&left, "GRANTS-NOT-CARRIED");
    assert_eq!(
        (grants.evidence.clone(), grants.sql.clone()),
        (
            format!(
                "1 of 1 grant is not on the target, to {role}; the target lacks the role {role}; its version knows no SELECT"
            ),
            vec![format!("GRANT INSERT ON TABLE moved.t TO {role}")]
        )
    );
    let settings = one(&left, "SETTINGS-NOT-CARRIED");
    let wanted =
        format!("ALTER ROLE {role} IN DATABASE \"Shop\" SET search_path TO app, \"Other\"");
    assert!(settings.sql.contains(&wanted), "{settings:?}");
    there.made.insert(wanted);
    let left = not_carried(&source, &plan, Some(&there)).await;
    assert_eq!(one(&left, "SETTINGS-NOT-CARRIED").sql, Vec::<String>::new());
    drop(session);
    base.run(&format!("DROP OWNED BY {role}; DROP ROLE {role}"))
        .await;
    base.drop().await;
}
