// The operations of the OpenAPI document, each with the schema of its body and the statuses of its responses.

const element = (name, text = '', children = []) => {
  const created = document.createElement(name);
  created.textContent = text;
  created.append(...children);
  return created;
};

/** The schema with its references replaced, each of them once on the way down. */
export function resolved(schema, schemas, seen = []) {
  if (Array.isArray(schema)) return schema.map((part) => resolved(part, schemas, seen));
  if (schema === null || typeof schema !== 'object') return schema;
  const name = schema.$ref?.split('/').pop();
  if (name) return seen.includes(name) ? name : resolved(schemas[name], schemas, [...seen, name]);
  return Object.fromEntries(Object.entries(schema).map(([key, part]) => [key, resolved(part, schemas, seen)]));
}

function operation(method, path, { summary, requestBody, responses }, schemas) {
  const head = element('summary', '', [element('code', `${method.toUpperCase()} ${path}`), element('span', summary)]);
  const parts = [head];
  const schema = requestBody?.content['application/json'].schema;
  if (schema) {
    const body = element('pre', JSON.stringify(resolved(schema, schemas), null, 2));
    // What can be scrolled can be reached by keyboard.
    body.tabIndex = 0;
    parts.push(element('h2', 'Body'), body);
  }
  parts.push(element('h2', 'Responses'), element('p', Object.keys(responses).join(', ')));
  return element('details', '', parts);
}

async function show() {
  const { paths, components } = await (await fetch('openapi.json')).json();
  const list = document.getElementById('paths');
  for (const [path, methods] of Object.entries(paths)) {
    for (const [method, described] of Object.entries(methods)) {
      list.append(operation(method, path, described, components.schemas));
    }
  }
}

if (typeof document !== 'undefined') show();
