// Reads a JSON list of LogQL queries; writes, for each, what Grafana's grammar makes of it: whether it is wrong, and the labels in it.
import { parser } from "@grafana/lezer-logql";
import { readFileSync } from "node:fs";

function read(query) {
  const found = { errors: [], streams: [], labels: [], defined: [], paths: [], fields: [] };
  const text = (node) => query.slice(node.from, node.to);
  const within = (node, name) => {
    for (let at = node.parent; at; at = at.parent) if (at.name === name) return true;
    return false;
  };
  parser.parse(query).iterate({
    enter({ node }) {
      const parent = node.parent?.name;
      if (node.type.isError) {
        found.errors.push(`${query.slice(Math.max(0, node.from - 20), node.from)} <here> ${query.slice(node.from, node.from + 20)}`);
      } else if (node.name === "Identifier" && within(node, "Selector")) {
        found.streams.push(text(node));
      } else if (node.name === "Identifier" && ["LabelExtractionExpression", "LabelFormatMatcher"].includes(parent) && !node.prevSibling) {
        found.defined.push(text(node));
      } else if (node.name === "Identifier") {
        found.labels.push(text(node));
      } else if (node.name === "String" && parent === "LabelExtractionExpression") {
        found.paths.push(text(node).slice(1, -1));
      } else if (node.name === "String" && ["LineFormatExpr", "LabelFormatMatcher"].includes(parent)) {
        for (const [, template] of text(node).matchAll(/\{\{(.*?)\}\}/gs)) {
          for (const [, field] of template.replace(/"[^"]*"/g, "").matchAll(/(?:^|[\s(])\.([A-Za-z_]\w*)/g)) found.fields.push(field);
        }
      }
    },
  });
  return found;
}

process.stdout.write(JSON.stringify(JSON.parse(readFileSync(0, "utf8")).map(read)));
