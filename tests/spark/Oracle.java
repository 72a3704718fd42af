import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.PrintStream;
import java.io.BufferedInputStream;
import java.io.BufferedOutputStream;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import java.util.TreeSet;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import org.antlr.v4.runtime.Vocabulary;
import org.apache.spark.sql.catalyst.TableIdentifier;
import org.apache.spark.sql.catalyst.expressions.Literal;
import org.apache.spark.sql.catalyst.parser.ParseException;
import org.apache.spark.sql.catalyst.parser.SqlBaseLexer;
import org.apache.spark.sql.catalyst.plans.logical.LogicalPlan;
import org.apache.spark.sql.execution.SparkSqlParser;
import scala.Option;
import scala.Product;

/**
 * What Spark's own parser sees in statements: for each text on stdin, ended by NUL, one line on stdout.
 *
 * <p>With the argument {@code keywords} it prints the words that Spark's lexer knows, one a line, and ends.
 *
 * <p>A line is {@code refused}, or {@code failed TAB why} if the plan could not be walked, or
 * {@code class TAB reads TAB writes TAB functions}; names in a list are parted by spaces, and the parts of a name by U+001F, so that a
 * name may hold anything else. A name is as written. Names of CTEs and of temporary views are no relations.
 * {@code dynamic} as class: an IDENTIFIER clause whose name is known only when it runs.
 *
 * <p>Nothing is analysed: no catalog, no session, no Spark job. The plan is walked through its case classes' fields, so that a
 * node that a later Spark brings is walked too.
 */
public final class Oracle {
    /** Parts of a name, and names in a list. */
    private static final String PART = "\u001f";

    /** Stands for a name that is known only when a statement runs. */
    private static final String COMPUTED = "computed name";

    private static final SparkSqlParser PARSER = new SparkSqlParser();

    /** Commands that change rows or files; all other commands that are not in {@link #OTHER} change what there is. */
    private static final List<String> DML = List.of("Insert", "Update", "Delete", "Merge", "Load", "Overwrite", "Append");

    private static final List<String> OTHER = List.of(
            "Show", "Describe", "Explain", "Reset", "Cache", "Uncache", "Clear", "Refresh", "List", "Add", "NoopCommand",
            "SetCommand", "SetCatalog", "SetVariable", "SetNamespaceCommand", "SetTimeZone", "CreateVariable", "DropVariable", "Call", "SetPath", "SetCollation");

    /** Commands whose names begin as those of {@link #OTHER} do, and are not. */
    private static final List<String> NOT_OTHER = List.of(
            "AddColumns", "AddPartitions", "AddConstraint", "AddCheckConstraint");

    private final Set<String> reads = new TreeSet<>();
    private final Set<String> writes = new TreeSet<>();
    private final Set<String> functions = new TreeSet<>();
    private boolean dynamic;

    public static void main(String[] arguments) throws IOException {
        if (arguments.length > 0 && arguments[0].equals("keywords")) {
            keywords().forEach(System.out::println);
            return;
        }
        InputStream in = new BufferedInputStream(System.in, 1 << 16);
        PrintStream out = new PrintStream(new BufferedOutputStream(System.out, 1 << 16), false, StandardCharsets.UTF_8);
        ByteArrayOutputStream text = new ByteArrayOutputStream();
        for (int next = in.read(); next >= 0; next = in.read()) {
            if (next != 0) {
                text.write(next);
                continue;
            }
            out.println(said(text.toString(StandardCharsets.UTF_8)));
            text.reset();
            if (in.available() == 0) {
                out.flush();
            }
        }
        out.flush();
    }

    /** The words that Spark's lexer knows. */
    private static List<String> keywords() {
        Vocabulary vocabulary = SqlBaseLexer.VOCABULARY;
        return IntStream.rangeClosed(1, vocabulary.getMaxTokenType())
                .mapToObj(vocabulary::getLiteralName)
                .filter(name -> name != null && name.matches("'[A-Z_]+'"))
                .map(name -> name.substring(1, name.length() - 1))
                .collect(Collectors.toList());
    }

    private static String said(String text) {
        LogicalPlan plan;
        try {
            plan = PARSER.parsePlan(text);
        } catch (Exception | StackOverflowError refusal) {
            return "refused";
        } catch (Error fault) {
            // a class that pom.xml leaves out
            return "failed\t" + fault;
        }
        try {
            return new Oracle().seen(plan);
        } catch (Exception | StackOverflowError fault) {
            // the body of a function is read when the function is made
            boolean isRefusal = fault instanceof ParseException;
            return isRefusal ? "refused" : "failed\t" + fault.toString().lines().findFirst().orElse("");
        }
    }

    private String seen(LogicalPlan plan) {
        String kind = kind(plan);
        walk(plan, List.of(), !kind.equals("other"));
        return String.join("\t", dynamic ? "dynamic" : kind, list(reads), list(writes), list(functions));
    }

    private static String list(Set<String> names) {
        return names.stream().map(Oracle::escaped).collect(Collectors.joining(" "));
    }

    private static String escaped(String name) {
        return name.replace("\\", "\\\\").replace(" ", "\\s").replace("\t", "\\t").replace("\n", "\\n").replace("\r", "\\r");
    }

    private static String kind(Object plan) {
        String name = plan.getClass().getSimpleName();
        if (name.equals("UnresolvedWith")) {
            return kind(((Product) plan).productElement(0));
        }
        if (name.equals("PlanWithUnresolvedIdentifier")) {
            return kind(built((Product) plan, COMPUTED));
        }
        if (name.equals("CompoundBody")) {
            return "script";
        }
        if (begins(DML, name)) {
            return "dml";
        }
        boolean isCommand = plan instanceof org.apache.spark.sql.catalyst.plans.logical.Command
                || plan instanceof org.apache.spark.sql.catalyst.plans.logical.ParsedStatement;
        if (!isCommand) {
            // `FROM t INSERT INTO u … INSERT INTO v …`
            return name.equals("Union") && holdsInsert(plan) ? "dml" : "select";
        }
        return begins(OTHER, name) && !NOT_OTHER.contains(name) ? "other" : "ddl";
    }

    private static boolean holdsInsert(Object union) {
        return items(((Product) union).productElement(0)).stream()
                .anyMatch(child -> child.getClass().getSimpleName().equals("InsertIntoStatement"));
    }

    private static boolean begins(List<String> beginnings, String name) {
        return beginnings.stream().anyMatch(name::startsWith);
    }

    /** Follows everything that a node holds; {@code ctes} are in sight, and {@code isTarget} if a table by name is one that is changed. */
    private void walk(Object node, List<String> ctes, boolean isTarget) {
        if (node instanceof Option<?> option) {
            if (option.isDefined()) {
                walk(option.get(), ctes, isTarget);
            }
        } else if (node instanceof TableIdentifier name) {
            note(isTarget ? writes : reads, parts(name));
        } else if (node instanceof scala.collection.Iterable<?>) {
            items(node).forEach(item -> walk(item, ctes, isTarget));
        } else if (node instanceof Product product) {
            product(product, ctes, isTarget);
        }
    }

    private void product(Product node, List<String> ctes, boolean isTarget) {
        String name = node.getClass().getSimpleName();
        switch (name) {
            case "UnresolvedWith" -> with(node, ctes, isTarget);
            case "UnresolvedRelation" -> relation(strings(node.productElement(0)), ctes);
            case "UnresolvedIdentifier", "UnresolvedTable", "UnresolvedView", "UnresolvedTableOrView" ->
                note(isTarget ? writes : reads, strings(node.productElement(0)));
            case "UnresolvedFunction", "UnresolvedTableValuedFunction", "UnresolvedGenerator", "UnresolvedFunctionName" -> {
                function(node.productElement(0));
                fields(node, 1, ctes, false);
            }
            case "PlanWithUnresolvedIdentifier" -> planByName(node, ctes, isTarget);
            case "ExpressionWithUnresolvedIdentifier" -> {
                fields(node, 0, ctes, false);
                walk(built(node, COMPUTED), ctes, false);
                dynamic |= functions.remove(COMPUTED);
            }
            case "RenameTable" -> {
                fields(node, 0, ctes, isTarget);
                note(writes, strings(node.productElement(1)));
            }
            case "CreateTableLikeCommand", "CreateTableLike" -> {
                walk(node.productElement(0), ctes, isTarget);
                fields(node, 1, ctes, false);
            }
            case "ColumnDefinition" -> column(node, ctes);
            case "ForeignKeyConstraint" -> note(reads, strings(node.productElement(1)));
            case "CreateViewCommand", "CreateTempViewUsing" -> view(node, ctes, isTarget);
            case "CreateVariable", "DropVariable", "CacheTableAsSelect" -> fields(node, 1, ctes, false);
            case "SetVariable" -> fields(node, 1, ctes, false);
            case "InsertIntoStatement", "OverwriteByExpression", "UpdateTable", "DeleteFromTable", "MergeIntoTable" -> {
                target(node.productElement(0), ctes);
                fields(node, 1, ctes, false);
            }
            case "ExplainCommand" -> fields(node, 0, ctes, false);
            case "CreateUserDefinedFunction", "CreateUserDefinedFunctionCommand" -> body(node, ctes);
            default -> fields(node, 0, ctes, isTarget && !isQuery(node));
        }
    }

    /** Some plans wait for their name although it is a string. */
    private void planByName(Product node, List<String> ctes, boolean isTarget) {
        if (node.productElement(0) instanceof Literal literal && literal.value() != null) {
            walk(built(node, literal.value().toString().split("\\.")), ctes, isTarget);
        } else {
            dynamic = true;
        }
    }

    /** The plan or expression that a clause stands for if its name is {@code parts}. A column is no relation, whatever it is called. */
    private static Object built(Product clause, String... parts) {
        scala.collection.immutable.List<String> name = scala.collection.immutable.List$.MODULE$.<String>empty();
        for (int at = parts.length - 1; at >= 0; at--) {
            name = name.$colon$colon(parts[at]);
        }
        @SuppressWarnings("unchecked")
        scala.Function2<Object, Object, Object> build = (scala.Function2<Object, Object, Object>) clause.productElement(2);
        return build.apply(name, clause.productElement(1));
    }

    /** A temporary view belongs to the session. */
    private void view(Product node, List<String> ctes, boolean isTarget) {
        boolean isTemporary = node.toString().contains("TempView")
                || node.getClass().getSimpleName().equals("CreateTempViewUsing");
        for (int at = 0; at < node.productArity(); at++) {
            if (!isTemporary || !(node.productElement(at) instanceof TableIdentifier)) {
                walk(node.productElement(at), ctes, isTarget);
            }
        }
    }

    private static boolean isQuery(Product node) {
        return node instanceof LogicalPlan && kind(node).equals("select") && !node.getClass().getSimpleName().startsWith("Unresolved");
    }

    private void fields(Product node, int from, List<String> ctes, boolean isTarget) {
        for (int at = from; at < node.productArity(); at++) {
            walk(node.productElement(at), ctes, isTarget);
        }
    }

    /** The target of a write, with whatever names are around it; a CTE cannot be one. */
    private void target(Object node, List<String> ctes) {
        if (node instanceof Product product && product.getClass().getSimpleName().equals("UnresolvedRelation")) {
            note(writes, strings(product.productElement(0)));
        } else if (node instanceof Product product && product.getClass().getSimpleName().equals("SubqueryAlias")) {
            target(product.productElement(1), ctes);
        } else {
            walk(node, ctes, true);
        }
    }

    /** A CTE sees those before it, and itself if the list is recursive. */
    private void with(Product node, List<String> outside, boolean isTarget) {
        List<String> ctes = new ArrayList<>(outside);
        boolean isRecursive = node.productArity() > 2 && Boolean.TRUE.equals(node.productElement(2));
        for (Object item : items(node.productElement(1))) {
            Product cte = (Product) item;
            String name = cte.productElement(0).toString().toLowerCase(java.util.Locale.ROOT);
            List<String> inside = new ArrayList<>(ctes);
            if (isRecursive) {
                inside.add(name);
            }
            walk(cte.productElement(1), inside, false);
            ctes.add(name);
        }
        walk(node.productElement(0), ctes, isTarget);
    }

    private void relation(List<String> parts, List<String> ctes) {
        if (parts.size() != 1 || !ctes.contains(parts.get(0).toLowerCase(java.util.Locale.ROOT))) {
            note(reads, parts);
        }
    }

    /** Some nodes hold a function by the parts of its name, others by an identifier. */
    private void function(Object name) {
        if (name instanceof scala.collection.Iterable<?>) {
            note(functions, strings(name));
        } else if (name instanceof Product identifier) {
            List<String> parts = new ArrayList<>();
            for (int at = identifier.productArity() - 1; at > 0; at--) {
                if (identifier.productElement(at) instanceof Option<?> part && part.isDefined()) {
                    parts.add(part.get().toString());
                }
            }
            parts.add(identifier.productElement(0).toString());
            note(functions, parts);
        }
    }

    /** What a column is computed by is held as text. */
    private void column(Product node, List<String> ctes) {
        fields(node, 0, ctes, false);
        texts(node, ctes);
    }

    /** A function's body is held as text. */
    private void body(Product node, List<String> ctes) {
        fields(node, 0, ctes, true);
        texts(node, ctes);
    }

    private void texts(Product node, List<String> ctes) {
        for (int at = 0; at < node.productArity(); at++) {
            String field = node.productElementName(at);
            if (node.productElement(at) instanceof Option<?> option && option.isDefined()) {
                if (field.equals("queryText")) {
                    walk(PARSER.parsePlan(option.get().toString()), ctes, false);
                } else if (field.equals("exprText") || field.equals("generationExpression")) {
                    walk(PARSER.parseExpression(option.get().toString()), ctes, false);
                }
            }
        }
    }

    private static List<String> parts(TableIdentifier name) {
        List<String> parts = new ArrayList<>();
        for (Option<String> part : List.of(name.catalog(), name.database())) {
            if (part.isDefined()) {
                parts.add(part.get());
            }
        }
        parts.add(name.table());
        return parts;
    }

    private static void note(Set<String> to, List<String> parts) {
        to.add(String.join(PART, parts));
    }

    private static List<String> strings(Object names) {
        return items(names).stream().map(Object::toString).collect(Collectors.toList());
    }

    private static List<Object> items(Object iterable) {
        List<Object> items = new ArrayList<>();
        scala.collection.Iterator<?> iterator = ((scala.collection.Iterable<?>) iterable).iterator();
        while (iterator.hasNext()) {
            items.add(iterator.next());
        }
        return items;
    }
}
