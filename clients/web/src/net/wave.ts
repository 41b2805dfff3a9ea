/** Reads wave blocks (frame 0x03): sample-indexed int16 channels of one bed. Pure; never fills what is missing. */

export const WAVE_KIND = 3;
export const MISSING = -32768;

/** Channel number -> name and what one count is worth in `unit`. */
export const CHANNELS: Readonly<Record<number, { name: string; scale: number; unit: string }>> = {
  1: { name: "ecg_ii", scale: 0.001, unit: "mV" },
  2: { name: "ecg_v", scale: 0.001, unit: "mV" },
  3: { name: "abp", scale: 0.01, unit: "mmHg" },
  4: { name: "ppg", scale: 0.0001, unit: "" },
  5: { name: "co2", scale: 0.01, unit: "mmHg" },
  6: { name: "resp", scale: 0.001, unit: "" },
  7: { name: "cvp", scale: 0.01, unit: "mmHg" },
  8: { name: "pap", scale: 0.01, unit: "mmHg" },
};

/** The frame is not a wave block. */
export class WaveError extends Error {}

/** `samples` of each channel begin at index `first` of a clock that runs at `rate` per second. */
export interface WaveBlock {
  bed: number;
  device: boolean;
  first: number;
  rate: number;
  count: number;
  channels: { channel: number; samples: Int16Array }[];
}

/** Decodes a whole frame; every byte must be accounted for. */
export function decodeWave(frame: Uint8Array): WaveBlock {
  if (frame.length < 11 || frame[0] !== WAVE_KIND) throw new WaveError("not a wave block");
  const view = new DataView(frame.buffer, frame.byteOffset, frame.byteLength);
  const channelCount = view.getUint8(3);
  const count = view.getUint8(10);
  const width = 1 + 2 * count;
  if (frame.length !== 11 + channelCount * width) {
    throw new WaveError(`a block of ${channelCount} channels and ${count} samples has ${11 + channelCount * width} bytes, got ${frame.length}`);
  }
  const channels = Array.from({ length: channelCount }, (_, c) => {
    const at = 11 + c * width;
    const samples = Int16Array.from({ length: count }, (_, i) => view.getInt16(at + 1 + 2 * i, true));
    return { channel: view.getUint8(at), samples };
  });
  return { bed: view.getUint8(1), device: view.getUint8(2) === 1, first: view.getUint32(4, true), rate: view.getUint16(8, true), count, channels };
}
