//! One table for each type, with the values at its edges.

/// A table `name(id, v)`.
pub struct Kind {
    pub name: &'static str,
    /// The type of `v`.
    pub declared: &'static str,
    /// Expressions.
    pub values: &'static [&'static str],
}

const fn kind(name: &'static str, declared: &'static str, values: &'static [&'static str]) -> Kind {
    Kind {
        name,
        declared,
        values,
    }
}

/// What the types need.
pub const SETUP: &str = r#"
CREATE EXTENSION hstore; CREATE EXTENSION citext; CREATE EXTENSION ltree;
CREATE SCHEMA "Odd name";
CREATE TYPE mood AS ENUM ('sad', 'it''s ok', 'happy "x"', 'a,b', '', 'MiXed');
CREATE TYPE "Odd name"."Mood's" AS ENUM ('b', 'a');
CREATE DOMAIN posint AS int CHECK (VALUE > 0);
CREATE DOMAIN code AS varchar(5) NOT NULL DEFAULT 'none';
CREATE DOMAIN padded AS char(4);
CREATE DOMAIN flag AS boolean;
CREATE DOMAIN raw AS bytea;
CREATE DOMAIN exact AS numeric(10,2);
CREATE DOMAIN ratio AS double precision;
CREATE DOMAIN many AS int[];
CREATE DOMAIN twice AS posint CHECK (VALUE < 1000000);
CREATE TYPE inner_pair AS (a int, "B b" text);
CREATE TYPE outer_pair AS (p inner_pair, q numeric, r text[], s mood);
CREATE DOMAIN checked_pair AS inner_pair CHECK ((VALUE).a IS DISTINCT FROM 0);
CREATE TYPE float_range AS RANGE (subtype = float8, subtype_diff = float8mi);
CREATE COLLATION nocase (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
CREATE COLLATION german (provider = icu, locale = 'de');
"#;

pub const KINDS: &[Kind] = &[
    kind("k_int2", "smallint", &["-32768", "32767", "0"]),
    kind("k_int4", "integer", &["-2147483648", "2147483647", "0"]),
    kind(
        "k_int8",
        "bigint",
        &["-9223372036854775808", "9223372036854775807", "0", "-1"],
    ),
    kind(
        "k_numeric",
        "numeric",
        &[
            "'NaN'",
            "'Infinity'",
            "'-Infinity'",
            "1.0",
            "1.00",
            "1",
            "0",
            "0.00",
            "'-0.0'",
            "1e-1000::numeric",
            "(repeat('9', 30000) || '.' || repeat('9', 10000))::numeric",
            "1e100",
            "-0.1",
        ],
    ),
    kind(
        "k_numeric_10_2",
        "numeric(10,2)",
        &["1", "-99999999.99", "'NaN'", "0.005"],
    ),
    kind("k_numeric_neg", "numeric(3,-2)", &["12345", "-100"]),
    kind(
        "k_float4",
        "real",
        &[
            "'-0'",
            "0",
            "'NaN'",
            "'Infinity'",
            "'-Infinity'",
            "1e-45",
            "3.4028235e38",
            "0.1",
            "1.17549435e-38",
            "16777216",
            "-3.3333333",
        ],
    ),
    kind(
        "k_float8",
        "double precision",
        &[
            "'-0'",
            "0",
            "'NaN'",
            "'Infinity'",
            "'-Infinity'",
            "5e-324",
            "1.7976931348623157e308",
            "0.1",
            "2.2250738585072014e-308",
            "1e22",
            "123456789.123456789",
            "9007199254740993",
        ],
    ),
    kind("k_bool", "boolean", &["true", "false"]),
    kind(
        "k_text",
        "text",
        &[
            "''",
            "'\\N'",
            "'\\\\N'",
            "'NULL'",
            "'null'",
            "E'a\\tb\\nc\\rd\\be\\ff\\vg\\\\h'",
            "E'\\x01\\x02\\x1b\\x7f'",
            "'\\.'",
            "E'\\n\\\\.\\n'",
            "' '",
            "'a '",
            "'a  '",
            "E'\\r\\n'",
            "'äöü ß € 😀 👩‍👩‍👧'",
            "E'\\u0301e\\u00e9e\\u0301'",
            "'\"quoted\" ''single'''",
            "'{a,b}'",
            "'(a,b)'",
            "chr(65535 - 1)",
            "chr(1114111)",
            "E'\\ufeff'",
            "repeat('x', 3000)",
            "(SELECT string_agg(md5(i::text), E'\\t\\n\\\\') FROM generate_series(1, 60000) i)",
        ],
    ),
    kind(
        "k_varchar",
        "varchar(5)",
        &["''", "'a '", "'abcde'", "'äöü€😀'", "'     '"],
    ),
    kind(
        "k_varchar_free",
        "varchar",
        &["''", "'a '", "repeat('y', 10000)"],
    ),
    kind(
        "k_char",
        "char(5)",
        &["''", "'a'", "'a    '", "' a'", "'äöü€😀'"],
    ),
    kind("k_char_1", "char", &["''", "'x'"]),
    kind("k_bpchar", "bpchar", &["'a  '", "''", "'b'"]),
    kind(
        "k_byte_char",
        "\"char\"",
        &["'a'", "''", "'\\'", "' '", "E'\\t'"],
    ),
    kind(
        "k_name",
        "name",
        &["'a'", "''", "'with space'", "repeat('n', 63)"],
    ),
    kind(
        "k_bytea",
        "bytea",
        &[
            "''",
            "'\\x00'",
            "'\\x5c4e'",
            "'\\x090a0d5c00ff'",
            "decode(repeat('00ff', 5000), 'hex')",
            "sha256('a') || sha256('b')",
        ],
    ),
    kind(
        "k_date",
        "date",
        &[
            "'infinity'",
            "'-infinity'",
            "'4713-01-01 BC'",
            "'5874897-12-31'",
            "'2000-02-29'",
            "'0001-01-01 BC'",
            "'0001-01-01'",
        ],
    ),
    kind(
        "k_time",
        "time",
        &["'00:00'", "'24:00:00'", "'23:59:59.999999'"],
    ),
    kind("k_time_0", "time(0)", &["'00:00'", "'12:34:56.7'"]),
    kind(
        "k_timetz",
        "timetz",
        &[
            "'00:00+15:59:59'",
            "'24:00:00-15:59:59'",
            "'12:00:00.000001+05:30'",
            "'12:00Z'",
        ],
    ),
    kind(
        "k_timestamp",
        "timestamp",
        &[
            "'infinity'",
            "'-infinity'",
            "'4713-01-01 00:00:00 BC'",
            "'294276-12-31 23:59:59.999999'",
            "'2024-06-01 12:00:00.1'",
            "'1582-10-10'",
        ],
    ),
    kind(
        "k_timestamptz",
        "timestamptz",
        &[
            "'infinity'",
            "'-infinity'",
            "'4713-01-02 00:00:00+00 BC'",
            "'294276-12-31 23:59:59.999999+00'",
            "'1890-01-01 00:00:00+00:19:32'",
            "'2024-03-31 01:30:00+00'",
            "'0044-03-15 BC'",
        ],
    ),
    kind(
        "k_timestamptz_3",
        "timestamptz(3)",
        &["'2024-03-31 01:30:00.123456+00'"],
    ),
    kind(
        "k_interval",
        "interval",
        &[
            "'1 mon'",
            "'30 days'",
            "'720 hours'",
            "'-1 mon +2 days -03:04:05.000006'",
            "'0'",
            "'1 year -1 mon'",
            "'-1 year -2 mons +3 days -04:05:06'",
            "'178000000 years'",
            "'00:00:00.000001'",
            "'-178000000 years'",
            "'2562047788:00:54.775807'",
            "'1 day -1 sec'",
        ],
    ),
    kind(
        "k_interval_ym",
        "interval year to month",
        &["'1 year 2 mons'", "'-3 mons'"],
    ),
    kind(
        "k_interval_s0",
        "interval second(0)",
        &["'1.4 s'", "'-3 s'"],
    ),
    kind(
        "k_uuid",
        "uuid",
        &[
            "'00000000-0000-0000-0000-000000000000'",
            "'FFFFFFFF-ffff-4fff-8fff-ffffffffffff'",
        ],
    ),
    kind(
        "k_inet",
        "inet",
        &[
            "'10.0.0.1'",
            "'10.0.0.1/8'",
            "'10.0.0.1/32'",
            "'::1'",
            "'::ffff:1.2.3.4/96'",
            "'fe80::1/64'",
            "'0.0.0.0/0'",
        ],
    ),
    kind(
        "k_cidr",
        "cidr",
        &["'10.0.0.0/8'", "'10.0.0.1/32'", "'::/0'", "'2001:db8::/32'"],
    ),
    kind(
        "k_macaddr",
        "macaddr",
        &["'08:00:2b:01:02:03'", "'ff:ff:ff:ff:ff:ff'"],
    ),
    kind(
        "k_macaddr8",
        "macaddr8",
        &["'08:00:2b:01:02:03:04:05'", "'08:00:2b:01:02:03'"],
    ),
    kind("k_bit", "bit(5)", &["B'00000'", "B'10101'"]),
    kind("k_bit_1", "bit", &["B'0'", "B'1'"]),
    kind(
        "k_varbit",
        "bit varying",
        &["B''", "B'0'", "B'00'", "B'1010101010101'"],
    ),
    kind("k_varbit_5", "bit varying(5)", &["B''", "B'00100'"]),
    kind(
        "k_json",
        "json",
        &[
            "'{\"a\": 1.0,  \"a\":2}'",
            "'null'",
            "' [ ] '",
            "'\"\\u0000\"'",
            "E'{\\n\\t\"x\": \"\\\\n\"}'",
            "'1e400'",
        ],
    ),
    kind(
        "k_jsonb",
        "jsonb",
        &[
            "'{\"b\": 1.0, \"a\": 1.00}'",
            "'1.0'",
            "'1.00'",
            "'null'",
            "'\"\\t\\\\ \\\" \"'",
            "'[]'",
            "'{}'",
            "'[null, \"\", 1e100]'",
        ],
    ),
    kind(
        "k_xml",
        "xml",
        &[
            "'<a/>'",
            "'<a></a>'",
            "'text &amp; more'",
            "''",
            "'<?xml version=\"1.0\"?><a>ä</a>'",
            "E'<a>\\n\\t</a>'",
        ],
    ),
    kind(
        "k_money",
        "money",
        &[
            "'-92233720368547758.08'",
            "'92233720368547758.07'",
            "0.01::numeric::money",
            "'-1.5'",
        ],
    ),
    kind(
        "k_point",
        "point",
        &["'(0,-0)'", "'(NaN,Infinity)'", "'(1e-300,0.1)'"],
    ),
    kind("k_line", "line", &["'{1,2,3}'", "'{0.1,-0.2,1e300}'"]),
    kind("k_lseg", "lseg", &["'[(0,0),(1,1)]'", "'[(1,1),(0,0)]'"]),
    kind("k_box", "box", &["'(1,1),(0,0)'", "'(0,5),(0,-5)'"]),
    kind("k_path", "path", &["'[(0,0),(1,1)]'", "'((0,0),(1,1))'"]),
    kind(
        "k_polygon",
        "polygon",
        &["'((0,0),(1,1),(1,0))'", "'((1,1))'"],
    ),
    kind("k_circle", "circle", &["'<(0,0),0>'", "'<(1.5,-2),1e10>'"]),
    kind(
        "k_tsvector",
        "tsvector",
        &[
            "''",
            "'a:1A b:2,3 ''it''''s'':4 ''x\\\\y'''",
            "to_tsvector('english', 'the quick brown')",
        ],
    ),
    kind(
        "k_tsquery",
        "tsquery",
        &["''", "'a & !b | ''it''''s'':*A <-> c'"],
    ),
    kind(
        "k_int_array",
        "int[]",
        &[
            "'{}'",
            "'{1,NULL,3}'",
            "'{{1,2},{3,4}}'",
            "'[0:1]={1,2}'",
            "'[-2:-1][5:6]={{1,2},{3,NULL}}'",
            "'{NULL}'",
        ],
    ),
    kind(
        "k_text_array",
        "text[]",
        &[
            "'{}'",
            "ARRAY['', NULL, 'NULL', 'null', 'a,b', '{', '\"', '\\', E'\\n', E'\\t', ' a ', 'ä']",
            "'[3:3]={x}'",
            "ARRAY[ARRAY['a','b'],ARRAY[NULL,'']]",
        ],
    ),
    kind(
        "k_bytea_array",
        "bytea[]",
        &["ARRAY['\\x00'::bytea, '\\x', NULL]"],
    ),
    kind("k_float_array", "float8[]", &["'{-0,NaN,Infinity,5e-324}'"]),
    kind("k_char_array", "char(3)[]", &["'{a,\"b  \",abc}'"]),
    kind("k_varchar_array", "varchar(3)[]", &["'{a,\"b  \",abc}'"]),
    kind("k_interval_array", "interval[]", &["'{1 mon,30 days}'"]),
    kind(
        "k_mood",
        "mood",
        &[
            "'sad'",
            "'it''s ok'",
            "'happy \"x\"'",
            "'a,b'",
            "''",
            "'MiXed'",
        ],
    ),
    kind("k_odd_mood", "\"Odd name\".\"Mood's\"", &["'a'", "'b'"]),
    kind(
        "k_mood_array",
        "mood[]",
        &["ARRAY['sad', 'it''s ok', 'happy \"x\"', 'a,b', '']::mood[]"],
    ),
    kind("k_posint", "posint", &["1", "2147483647"]),
    kind("k_padded", "padded", &["''", "'a'", "'abcd'"]),
    kind("k_flag", "flag", &["true", "false"]),
    kind("k_raw", "raw", &["''", "'\\x00ff'"]),
    kind("k_exact", "exact", &["1", "-2.5"]),
    kind("k_ratio", "ratio", &["'-0'", "'NaN'", "0.1", "5e-324"]),
    kind("k_many", "many", &["'{}'", "'[0:1]={1,NULL}'"]),
    kind("k_twice", "twice", &["1", "999999"]),
    kind("k_posint_array", "posint[]", &["'{1,2}'"]),
    kind(
        "k_outer_pair",
        "outer_pair",
        &[
            "ROW(NULL, NULL, NULL, NULL)",
            "ROW(ROW(NULL, NULL), 1.00, '{}', 'sad')",
            "ROW(ROW(1, 'a\"b''c\\d,(e)'), 'NaN', ARRAY['x', NULL, '\"', '\\'], 'happy \"x\"')",
            "ROW(ROW(2, ''), 1.0, ARRAY[''], '')",
        ],
    ),
    kind(
        "k_pair_array",
        "inner_pair[]",
        &["ARRAY[ROW(1, 'a,\"\\'), NULL, ROW(NULL, '')]::inner_pair[]"],
    ),
    kind("k_checked_pair", "checked_pair", &["ROW(1, NULL)"]),
    kind(
        "k_int4range",
        "int4range",
        &["'empty'", "'[1,5)'", "'(,)'", "'(,5]'"],
    ),
    kind(
        "k_numrange",
        "numrange",
        &["'[1.0,1.00]'", "'(1.5,]'", "'empty'"],
    ),
    kind(
        "k_tstzrange",
        "tstzrange",
        &["'[2024-01-01 00:00+00,infinity)'", "'[-infinity,]'"],
    ),
    kind("k_float_range", "float_range", &["'[-0,1e300)'", "'empty'"]),
    kind(
        "k_int4multirange",
        "int4multirange",
        &["'{}'", "'{[1,3),[5,7)}'", "'{(,)}'"],
    ),
    kind(
        "k_tsmultirange",
        "tsmultirange",
        &["'{[2024-01-01,2024-01-02),[2024-02-01,infinity)}'"],
    ),
    kind("k_oid", "oid", &["0", "4294967295"]),
    kind(
        "k_regclass",
        "regclass",
        &["'pg_class'", "'pg_catalog.pg_type'"],
    ),
    kind("k_regtype", "regtype", &["'int4'", "'mood'"]),
    kind(
        "k_hstore",
        "hstore",
        &["''", "'a=>1, b=>NULL, \"c d\"=>\"\\\"x\\\\\"'"],
    ),
    kind("k_citext", "citext", &["'Abc'", "'ABC'", "'abc '", "''"]),
    kind("k_ltree", "ltree", &["''", "'Top.Science.Astro_1'"]),
    kind("k_pg_lsn", "pg_lsn", &["'0/0'", "'FFFFFFFF/FFFFFFFF'"]),
    kind(
        "k_pg_snapshot",
        "pg_snapshot",
        &["'10:20:10,14,15'", "'1:1:'"],
    ),
    kind("k_txid_snapshot", "txid_snapshot", &["'10:20:10,14,15'"]),
    kind("k_xid", "xid", &["'0'", "'4294967295'"]),
    kind("k_xid8", "xid8", &["'0'", "'18446744073709551615'"]),
    kind("k_tid", "tid", &["'(0,1)'", "'(4294967295,65535)'"]),
    kind(
        "k_jsonpath",
        "jsonpath",
        &["'$.a[*] ? (@ > 1)'", "'strict $'"],
    ),
    kind("k_oidvector", "oidvector", &["'1 2 3'", "''"]),
    kind("k_int2vector", "int2vector", &["'1 -2 3'"]),
    kind("k_nocase", "text COLLATE nocase", &["'Abc'", "'aBC'", "''"]),
    kind("k_german", "text COLLATE german", &["'ä'", "'z'"]),
];
