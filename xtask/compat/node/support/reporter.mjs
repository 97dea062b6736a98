// A reporter of `node --test`: a line of JSON for each check, as `cargo xtask compat` reads it.

export default async function* report(events) {
  for await (const { type, data } of events) {
    if (type !== 'test:pass' && type !== 'test:fail') continue;
    const isFile = data.name.endsWith('.mjs');
    if (isFile && type === 'test:pass') continue;
    const skipped = data.skip !== undefined;
    const error = data.details.error;
    yield JSON.stringify({
      check: data.name,
      outcome: skipped ? 'skipped' : type === 'test:pass' ? 'ok' : 'failed',
      seconds: data.details.duration_ms / 1000,
      detail: skipped ? String(data.skip) : error ? String(error.cause?.stack ?? error.cause ?? error) : null,
    }) + '\n';
  }
}
