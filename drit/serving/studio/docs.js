// The page of the API, from /openapi.json.

function element(name, content = "", parent = null) {
  const made = document.createElement(name);
  for (const [i, part] of content.split("`").entries()) {
    if (i % 2) element("code", part, made);
    else made.append(part);
  }
  parent?.append(made);
  return made;
}

function described(schema) {
  const plain = schema.anyOf?.find((part) => part.type !== "null") || schema;
  let kind = plain.enum ? plain.enum.join(", ") : plain.type || "";
  if (plain.type === "array") kind = "several";
  if (plain.contentMediaType || plain.format === "binary") kind = "file";
  if (plain.minimum !== undefined) kind += ` from ${plain.minimum}`;
  if (plain.maximum !== undefined) kind += ` to ${plain.maximum}`;
  const value = schema.default;
  return [kind, value === undefined || value === "" || value?.length === 0 ? "" : String(value)];
}

function fieldsOf(operation, schemas) {
  const fields = (operation.parameters || []).map((p) => [p.name, p.schema, p.required, p.description]);
  const body = Object.values(operation.requestBody?.content || {})[0]?.schema;
  const schema = body?.$ref ? schemas[body.$ref.split("/").pop()] : body;
  for (const [name, field] of Object.entries(schema?.properties || {}))
    fields.push([name, field, schema.required?.includes(name), field.description]);
  return fields;
}

const page = document.getElementById("routes");
const response = await fetch("/openapi.json");
const api = await response.json();
element("p", api.info.description, page);
for (const [path, operations] of Object.entries(api.paths)) {
  for (const [method, operation] of Object.entries(operations)) {
    const section = element("section", "", page);
    element("code", `${method.toUpperCase()} ${path}`, element("h2", "", section));
    element("p", operation.description || "", section);
    const fields = fieldsOf(operation, api.components?.schemas || {});
    if (!fields.length) continue;
    const table = element("table", "", section);
    const head = element("tr", "", table);
    for (const title of ["field", "value", "default", "meaning"]) element("th", title, head);
    for (const [name, schema, required, description] of fields) {
      const row = element("tr", "", table);
      const [kind, value] = described(schema);
      element("code", name, element("td", "", row));
      for (const text of [kind, required ? "needed" : value, description || schema.title || ""]) element("td", text, row);
    }
  }
}
