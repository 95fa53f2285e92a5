// Linear and logarithmic scales of the parallel coordinates, with the ticks of a person's choice: 1, 2 or 5 times a power of ten.

function stepFor(span, count) {
  const rough = span / Math.max(count, 1);
  const power = 10 ** Math.floor(Math.log10(rough));
  return power * ([1, 2, 5].find((factor) => factor * power >= rough) ?? 10);
}

function makeScale(low, high, from, to, { log = false } = {}) {
  if (!(low <= high)) [low, high] = log ? [1, 10] : [0, 1];
  if (low === high) {
    const room = log ? 2 : Math.abs(low) * 0.1 || 1;
    [low, high] = log ? [low / room, high * room] : [low - room, high + room];
  }
  const [a, b] = log ? [Math.log10(low), Math.log10(high)] : [low, high];
  const scale = (value) => from + (((log ? Math.log10(value) : value) - a) / (b - a)) * (to - from);
  scale.ticks = (count) => {
    if (log && b - a >= 1) {
      const every = Math.ceil((b - a) / count);
      const factors = b - a < 2 ? [1, 2, 5] : [1];
      const ticks = [];
      for (let power = Math.floor(a); power <= Math.ceil(b); power += every) {
        for (const factor of factors) ticks.push(factor * 10 ** power);
      }
      return ticks.filter((tick) => tick >= low * 0.999 && tick <= high * 1.001);
    }
    const step = stepFor(high - low, count);
    const ticks = [];
    for (let i = Math.ceil(low / step - 1e-9); i * step <= high + step * 1e-9; i++) ticks.push(i * step || 0);
    return ticks;
  };
  return scale;
}

// 20000 is written 20k where room is short.
function short(value) {
  const size = Math.abs(value);
  if (size >= 1e9 || (size && size < 1e-4)) return number(value, 2);
  if (size >= 1e6) return `${number(value / 1e6, 4)}M`;
  if (size >= 1e4) return `${number(value / 1e3, 4)}k`;
  return number(value, 4);
}
