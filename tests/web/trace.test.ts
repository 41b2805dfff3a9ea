import { MISSING } from "@/net/wave";
import { runs, Sweep, Trace } from "@/monitor/trace";

const ramp = (first: number, n: number) => Int16Array.from({ length: n }, (_, i) => (first + i) % 1000);

describe("a trace", () => {
  it("gives every sample back at its index and nothing elsewhere", () => {
    const trace = new Trace(100);
    trace.put(1000, ramp(1000, 30));
    trace.put(1040, ramp(1040, 10));
    for (let i = 960; i < 1060; i++) {
      const there = (i >= 1000 && i < 1030) || (i >= 1040 && i < 1050);
      expect(trace.at(i), `index ${i}`).toBe(there ? i % 1000 : MISSING);
    }
  });
  it("forgets what is older than its size", () => {
    const trace = new Trace(50);
    trace.put(0, ramp(0, 40));
    trace.put(40, ramp(40, 40));
    expect(trace.at(29)).toBe(MISSING);
    expect(trace.at(30)).toBe(30);
  });
  it("fills a late block into its place", () => {
    const trace = new Trace(100);
    trace.put(0, ramp(0, 10));
    trace.put(20, ramp(20, 10));
    trace.put(10, ramp(10, 10));
    expect(Array.from({ length: 30 }, (_, i) => trace.at(i))).toEqual([...ramp(0, 30)]);
  });
  it("starts anew when the index leaps", () => {
    const trace = new Trace(100);
    trace.put(90_000, ramp(0, 10));
    trace.put(5, ramp(5, 10));
    expect(trace.at(5)).toBe(5);
    expect(trace.at(4)).toBe(MISSING);
    expect(trace.at(90_000)).toBe(MISSING);
  });
});

describe("the sweep", () => {
  const block = (first: number, n: number, device = false) => ({ bed: 0, device, first, rate: 100, count: n, channels: [{ channel: 1, samples: ramp(first, n) }] });

  it("follows the samples evenly and never passes the newest", () => {
    const sweep = new Sweep();
    let last = Number.NaN;
    for (let ms = 0; ms < 4000; ms += 20) {
      if (ms % 100 === 0) sweep.put(block(ms / 10, 10), ms);
      sweep.update(0.02);
      if (ms > 1000) expect(sweep.cursor - last).toBeGreaterThan(1);
      last = sweep.cursor;
      expect(last).toBeLessThanOrEqual(sweep.traces.get(1)!.newest);
    }
    for (let k = 0; k < 100; k++) sweep.update(0.02);
    expect(sweep.cursor).toBe(sweep.traces.get(1)!.newest);
    expect(sweep.live(3950)).toBe(true);
    expect(sweep.live(7000)).toBe(false);
  });
  it("never mixes a device with the model", () => {
    const sweep = new Sweep();
    sweep.put(block(0, 50), 0);
    sweep.put(block(100, 10, true), 100);
    expect(sweep.traces.get(1)!.at(20)).toBe(MISSING);
  });
  it("draws missing samples as gaps and each sample in its own column", () => {
    const trace = new Trace(400);
    trace.put(0, ramp(0, 150));
    const hole = Int16Array.of(MISSING, MISSING);
    trace.put(60, hole);
    const drawn = runs(trace, 149, 200);
    expect(drawn.map((run) => [run[0]!.value, run.at(-1)!.value])).toEqual([[0, 59], [62, 149]]);
    for (const point of drawn.flat()) expect(point.x).toBeCloseTo(point.value / 200);
  });
  it("leaves the oldest part open ahead of the cursor", () => {
    const trace = new Trace(400);
    trace.put(0, ramp(0, 300));
    const columns = runs(trace, 250, 200, 0.1).flat().map((point) => Math.round(point.x * 200));
    expect(columns).not.toContain(55);
    expect(columns).toContain(50);
    expect(columns).toContain(71);
  });
});
