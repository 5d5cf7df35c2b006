// The labels of fields by their paths. The texts of each language use it with their own names.

/** The label of a name without a text: `company_name` is "Company name". */
const humanize = (name) => `${name[0].toUpperCase()}${name.slice(1)}`.replaceAll("_", " ");

/**
 * Returns the function for the label of a field: of the customer, an address (`billing_address.city`), an order, or
 * custom. `fields` has the labels of the fields, `parts` those of an address and an order, and `prefixes` the words
 * before the parts of an order, an entry of the address book and the custom fields.
 */
export function fieldNamer(fields, parts, prefixes) {
  return (path) => {
    const [name, ...rest] = path.split(".");
    const part = rest.join(".");
    if (!part) return fields[name] ?? prefixes[name] ?? humanize(name);
    if (name === "custom") return `${prefixes.custom}: ${part}`;
    if (name === "order") return `${prefixes.order}: ${parts.order[part] ?? part}`;
    if (name === "addresses") {
      const last = rest.pop();
      const entry = rest.join(".");
      return `${prefixes.address} (${fields[entry] ?? entry}): ${parts.address[last] ?? humanize(last)}`;
    }
    return `${fields[name] ?? name}: ${parts.address[part] ?? part}`;
  };
}
