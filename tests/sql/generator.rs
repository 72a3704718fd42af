//! Random statements of the grammar that the scanner knows, with what each of them does.

use std::collections::BTreeSet;

/// splitmix64, so that a seed means the same statements everywhere.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((z ^ (z >> 31)) % u64::try_from(limit).unwrap()).unwrap()
    }

    pub(crate) fn one_in(&mut self, chances: usize) -> bool {
        self.below(chances) == 0
    }

    pub(crate) fn pick<'a, T: ?Sized>(&mut self, from: &[&'a T]) -> &'a T {
        from[self.below(from.len())]
    }
}

/// A statement as tokens, and the tables that it reads and writes if the session is in `main.sales`.
#[derive(Default)]
pub(crate) struct Statement {
    pub(crate) tokens: Vec<String>,
    pub(crate) reads: BTreeSet<String>,
    pub(crate) writes: BTreeSet<String>,
    pub(crate) is_query: bool,
}

impl Statement {
    pub(crate) fn text(&self) -> String {
        self.tokens.join(" ")
    }
}

const TABLES: [&str; 6] = ["t0", "t1", "t2", "orders", "Items", "event_log_2"];
const COLUMNS: [&str; 8] = ["a", "b", "c.d", "x", "`y z`", "value", "k.v", "date"];
const FUNCTIONS: [&str; 6] = ["upper", "coalesce", "count", "array", "max", "concat"];
const OPERATORS: [&str; 12] = ["+", "-", "*", "/", "=", "<>", "<", ">=", "||", "AND", "OR", "LIKE"];

pub(crate) fn statement(random: &mut Random) -> Statement {
    let mut maker = Maker { random, made: Statement::default(), ctes: Vec::new(), depth: 0 };
    maker.statement();
    maker.made
}

struct Maker<'r> {
    random: &'r mut Random,
    made: Statement,
    ctes: Vec<String>,
    depth: usize,
}

impl Maker<'_> {
    fn put(&mut self, words: &str) {
        self.made.tokens.extend(words.split(' ').map(str::to_owned));
    }

    fn put_one(&mut self, token: String) {
        self.made.tokens.push(token);
    }

    fn maybe(&mut self, words: &str) {
        if self.random.one_in(2) {
            self.put(words);
        }
    }

    fn statement(&mut self) {
        match self.random.below(16) {
            14 => self.function(),
            15 => self.columns(),
            0 => self.insert(),
            1 => self.update(),
            2 => self.delete(),
            3 => self.merge(),
            4 => self.create(),
            5 => {
                let how =
                    self.random.pick(&["DROP TABLE", "DROP VIEW IF EXISTS", "TRUNCATE TABLE", "DROP TABLE IF EXISTS"]);
                self.put(how);
                self.target();
            }
            _ => {
                self.made.is_query = true;
                self.query();
            }
        }
    }

    fn insert(&mut self) {
        let how = self.random.pick(&["INSERT INTO", "INSERT INTO TABLE", "INSERT OVERWRITE", "INSERT OVERWRITE TABLE"]);
        self.put(how);
        self.target();
        if self.random.one_in(3) {
            self.put("( a , b )");
        }
        self.query();
    }

    fn update(&mut self) {
        self.put("UPDATE");
        self.target();
        self.maybe("AS u");
        self.put("SET a =");
        self.expression();
        if self.random.one_in(2) {
            self.put(", b =");
            self.expression();
        }
        self.filter();
    }

    fn delete(&mut self) {
        self.put("DELETE FROM");
        self.target();
        self.filter();
    }

    fn filter(&mut self) {
        if !self.random.one_in(3) {
            self.put("WHERE");
            self.expression();
        }
    }

    fn merge(&mut self) {
        self.put("MERGE INTO");
        self.target();
        self.put("AS tgt USING");
        if self.random.one_in(3) {
            self.put("(");
            self.query();
            self.put(")");
        } else {
            let read = self.name(true);
            self.made.reads.extend(read);
        }
        self.maybe("AS src");
        self.put("ON");
        self.expression();
        if self.random.one_in(2) {
            self.put("WHEN MATCHED AND");
            self.expression();
            self.put("THEN DELETE");
        }
        self.put("WHEN MATCHED THEN UPDATE SET a =");
        self.expression();
        if self.random.one_in(2) {
            self.put("WHEN NOT MATCHED THEN INSERT ( a , b ) VALUES (");
            self.expression();
            self.put(",");
            self.expression();
            self.put(")");
        }
    }

    fn create(&mut self) {
        let how =
            self.random.pick(&["CREATE TABLE", "CREATE OR REPLACE TABLE", "CREATE VIEW", "CREATE OR REPLACE VIEW"]);
        self.put(how);
        self.target();
        self.put("AS");
        self.query();
    }

    fn function(&mut self) {
        self.put("CREATE OR REPLACE FUNCTION f ( x INT DEFAULT 1 , y STRING COMMENT 'y' )");
        self.made.writes.insert("function:main.sales.f".to_owned());
        if self.random.one_in(2) {
            self.put("RETURNS TABLE ( a INT ) READS SQL DATA RETURN SELECT");
            self.expression();
            self.put("FROM");
            self.relation();
        } else {
            self.put("RETURNS INT DETERMINISTIC RETURN x +");
            self.expression();
        }
    }

    /// A table by its columns, or by what is added to one.
    fn columns(&mut self) {
        let how = self.random.pick(&["CREATE TABLE", "CREATE OR REPLACE TABLE", "CREATE TABLE IF NOT EXISTS"]);
        self.put(how);
        self.target();
        self.put("( a INT NOT NULL DEFAULT 1 , b MAP < STRING , ARRAY < INT > > COMMENT 'b' , c DECIMAL ( 10 , 2 ) ,");
        self.put("CONSTRAINT fk FOREIGN KEY ( a ) REFERENCES");
        let parent = self.name(false);
        self.made.reads.extend(parent);
        self.put("( a ) )");
        self.maybe("USING delta");
        self.maybe("CLUSTER BY ( a )");
    }

    fn target(&mut self) {
        let name = self.name(false);
        self.made.writes.extend(name);
    }

    /// Puts a name; gives its full form, or none for a CTE.
    fn name(&mut self, may_be_cte: bool) -> Option<String> {
        let table = self.random.pick(&TABLES);
        let written = match self.random.below(4) {
            0 => format!("`{table}`"),
            1 => table.to_uppercase(),
            _ => table.to_owned(),
        };
        let table = table.to_lowercase();
        let (text, full) = match self.random.below(4) {
            0 => (format!("other.{written}"), format!("main.other.{table}")),
            1 => (format!("Cat.`raw`.{written}"), format!("cat.raw.{table}")),
            _ => (written, format!("main.sales.{table}")),
        };
        let is_cte = may_be_cte && !text.contains('.') && self.ctes.contains(&table);
        self.put_one(text);
        (!is_cte).then_some(full)
    }

    fn query(&mut self) {
        self.depth += 1;
        let outside = self.ctes.len();
        if self.random.one_in(5) {
            self.with();
        }
        self.query_term();
        while self.random.one_in(6) {
            let operator = self.random.pick(&["UNION", "UNION ALL", "EXCEPT", "INTERSECT"]);
            self.put(operator);
            self.query_term();
        }
        while self.random.one_in(10) {
            self.pipe();
        }
        if self.random.one_in(5) {
            self.put("ORDER BY");
            self.expression();
            let order = self.random.pick(&["DESC", "ASC NULLS LAST", "NULLS FIRST"]);
            self.put(order);
        }
        if self.random.one_in(5) {
            self.put("LIMIT 10");
        }
        self.ctes.truncate(outside);
        self.depth -= 1;
    }

    fn pipe(&mut self) {
        self.put("|>");
        match self.random.below(8) {
            0 => {
                self.put("WHERE");
                self.expression();
            }
            1 => {
                self.put("EXTEND");
                self.expression();
                self.put("AS e , upper ( a ) AS u");
            }
            2 => {
                self.put("AGGREGATE sum ( a ) AS s GROUP BY");
                self.expression();
                self.put("AS k");
            }
            3 => self.join(),
            4 => {
                self.put("UNION ALL (");
                self.query();
                self.put(")");
            }
            5 => {
                self.put("SET a =");
                self.expression();
            }
            6 => self.put("SELECT a , b"),
            _ => self.put("AS p"),
        }
    }

    fn with(&mut self) {
        self.put("WITH");
        loop {
            let name = self.random.pick(&TABLES);
            self.put_one(name.to_owned());
            self.put("AS (");
            self.query();
            self.put(")");
            self.ctes.push(name.to_lowercase());
            if !self.random.one_in(3) {
                return;
            }
            self.put(",");
        }
    }

    fn query_term(&mut self) {
        match self.random.below(24) {
            0 | 2 if self.depth < 5 => {
                self.put("(");
                self.query();
                self.put(")");
            }
            // with parentheses it would be a list of expressions, inside of others
            3 => self.put("VALUES 1 , 2"),
            // read by sqlparser in some places only
            1 => {
                self.put("TABLE");
                let read = self.name(true);
                self.made.reads.extend(read);
            }
            _ => self.select(),
        }
    }

    fn select(&mut self) {
        self.put("SELECT");
        if self.random.one_in(8) {
            self.put("DISTINCT");
        }
        // for Spark, `( SELECT ( a ) )` and `( SELECT * FROM a , b )` have a function or a column called `select`
        if self.depth > 1 {
            self.put("x");
        } else {
            self.select_item();
        }
        while self.random.one_in(3) {
            self.put(",");
            self.select_item();
        }
        if self.random.one_in(12) {
            return;
        }
        self.put("FROM");
        self.relation();
        while self.random.one_in(5) {
            self.put(",");
            self.maybe_lateral();
            self.relation();
        }
        if self.random.one_in(10) {
            self.put("LATERAL VIEW explode ( xs ) e AS item");
        }
        self.filter();
        if self.random.one_in(5) {
            self.put("GROUP BY a , b");
            if self.random.one_in(2) {
                self.put("HAVING");
                self.expression();
            }
        }
    }

    fn maybe_lateral(&mut self) {
        if self.random.one_in(6) {
            self.put("LATERAL (");
            self.query();
            self.put(") AS l ,");
        }
    }

    fn select_item(&mut self) {
        match self.random.below(8) {
            0 => self.put("*"),
            1 => self.put("k.*"),
            2 => self.put("sum ( a ) OVER ( PARTITION BY b ORDER BY x DESC )"),
            _ => {
                self.expression();
                let alias = self.random.pick(&["", "AS al", "al", "AS `from`"]);
                if !alias.is_empty() {
                    self.put(alias);
                }
            }
        }
    }

    fn relation(&mut self) {
        self.simple_relation();
        while self.random.one_in(3) {
            self.join();
        }
    }

    fn join(&mut self) {
        let joins = ["JOIN", "LEFT JOIN", "FULL OUTER JOIN", "INNER JOIN", "LEFT SEMI JOIN", "RIGHT JOIN"];
        let join = self.random.pick(&joins);
        self.put(join);
        self.simple_relation();
        if self.random.one_in(4) {
            self.put("USING ( a )");
        } else {
            self.put("ON");
            self.expression();
        }
    }

    fn simple_relation(&mut self) {
        let choice = self.random.below(10);
        match choice {
            0 | 1 if self.depth < 5 => {
                self.put("(");
                self.query();
                self.put(")");
            }
            2 if self.depth < 5 => {
                self.depth += 1;
                self.put("(");
                self.relation();
                // sqlparser does not read `(t)`
                if !self.random.one_in(20) {
                    self.join();
                }
                self.put(")");
                self.depth -= 1;
                return;
            }
            3 => self.put("( VALUES ( 1 ) , ( 2 ) )"),
            4 => self.put("range ( 10 )"),
            5 if self.random.one_in(4) => {
                self.put("STREAM");
                let read = self.name(true);
                self.made.reads.extend(read);
            }
            _ => {
                let read = self.name(true);
                self.made.reads.extend(read);
            }
        }
        let alias = self.random.pick(&["", "AS r", "r", "`r`"]);
        if !alias.is_empty() {
            self.put(alias);
        }
    }

    fn expression(&mut self) {
        self.depth += 1;
        self.operand();
        while self.random.one_in(4) {
            let operator = self.random.pick(&OPERATORS);
            self.put(operator);
            self.operand();
        }
        self.depth -= 1;
    }

    fn operand(&mut self) {
        let leaf = self.depth > 6 || self.random.one_in(2);
        match self.random.below(if leaf { 5 } else { 14 }) {
            12 => self.put("raw : a . b [ 0 ] :: STRING"),
            0 => {
                let literal =
                    self.random.pick(&["1", "2.5", "'it\\'s'", "\"FROM t9\"", "NULL", "true", "'--'", "'/*'"]);
                self.put_one(literal.to_owned());
            }
            1 => self.put("DATE '2026-01-01'"),
            2..=4 => {
                let column = self.random.pick(&COLUMNS);
                self.put_one(column.to_owned());
            }
            5 => {
                self.put("(");
                self.query();
                self.put(")");
            }
            6 => {
                let exists = self.random.pick(&["EXISTS (", "NOT EXISTS ("]);
                self.put(exists);
                self.query();
                self.put(")");
            }
            7 => {
                let within = self.random.pick(&["a IN (", "( a , b ) NOT IN ("]);
                self.put(within);
                self.query();
                self.put(")");
            }
            8 => self.case(),
            9 => self.call(),
            10 => {
                self.put("CAST (");
                self.expression();
                let to = self.random.pick(&["AS INT )", "AS DECIMAL ( 10 , 2 ) )", "AS STRING )"]);
                self.put(to);
            }
            11 => {
                self.put("(");
                self.expression();
                self.put(")");
            }
            _ => self.special(),
        }
    }

    fn case(&mut self) {
        self.put("CASE WHEN");
        self.expression();
        self.put("THEN");
        self.expression();
        if self.random.one_in(2) {
            self.put("ELSE");
            self.expression();
        }
        self.put("END");
    }

    fn call(&mut self) {
        let function = self.random.pick(&FUNCTIONS);
        self.put(function);
        self.put("(");
        self.expression();
        if function != "upper" {
            self.put(",");
            self.expression();
        }
        self.put(")");
    }

    /// Words that are also clauses.
    fn special(&mut self) {
        match self.random.below(5) {
            0 => self.put("EXTRACT ( YEAR FROM date )"),
            1 => self.put("a IS NOT DISTINCT FROM b"),
            2 => self.put("SUBSTRING ( a FROM 2 FOR 3 )"),
            3 => {
                self.put("a BETWEEN 1 AND");
                self.operand();
            }
            _ => self.put("x IS NOT NULL"),
        }
    }
}
