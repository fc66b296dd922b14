import { SingleBar } from 'cli-progress';
import type { ProgressEvent } from '../hub/index.ts';

/** A bar on stderr for each file that is fetched; none where stderr is no terminal, or the hub's variable says so. */
export function downloadProgress(): (event: ProgressEvent) => void {
  if (/^(1|on|yes|true)$/i.test(process.env.HF_HUB_DISABLE_PROGRESS_BARS ?? '')) return () => {};
  const bar = new SingleBar({ format: '{file} {bar} {percentage}%, {eta_formatted} left', clearOnComplete: true });
  return (event) => {
    if (event.status === 'progress') {
      if (!bar.isActive) bar.start(event.total, event.loaded, { file: event.file });
      bar.update(event.loaded);
    }
    if (event.status === 'done') bar.stop();
  };
}
