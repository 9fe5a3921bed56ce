// What is derived from an object that never changes, such as the tables of a generation, is derived once.

/** A function that remembers what it made of the last object that it was given. */
export function oncePer<Key extends object, Value>(make: (key: Key) => Value): (key: Key) => Value {
  let last: { readonly key: Key; readonly value: Value } | undefined;
  return (key) => {
    if (last?.key !== key) last = { key, value: make(key) };
    return last.value;
  };
}
