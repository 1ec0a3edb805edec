/** What a listener is told when the feed can't lead on from where it is. */

export function afresh(dataSet: string): string {
  return `read everything with GET /v1/data/${dataSet}, then follow with since= the version that its header Lockstep-Version names`;
}

export function prunedText(dataSet: string, since: number, oldestVersion: number | null): string {
  const begins = oldestVersion === null ? 'there is none' : `it begins after version ${oldestVersion}`;
  return `the changes after version ${since} are no longer in this node's history (${begins}); ${afresh(dataSet)}`;
}

export function switchedText(dataSet: string, since: number): string {
  return `version ${since} here is another state than the one that you have: the history was switched, as after --reset-group or a new store; ${afresh(dataSet)}`;
}

export function aheadText(dataSet: string, since: number, newest: number): string {
  return `the newest version of this master is ${newest}, so that ${since} isn't of its history; ${afresh(dataSet)}`;
}
