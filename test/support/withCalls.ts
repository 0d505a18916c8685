/** `target`, with these members in place of its own; methods that it keeps are called on it. */
export function withCalls<Target extends object>(target: Target, calls: Partial<Target>): Target {
  return new Proxy(target, {
    get: (inner, name) => {
      const value: unknown = Reflect.get(calls, name) ?? Reflect.get(inner, name, inner)
      return typeof value === 'function' ? value.bind(inner) : value
    },
  })
}
