import type { Mutation } from './mutation.js';

const hearing = 'shared/protocol/stream/group-hearing.ts';
const reach = 'shared/protocol/stream/group-reach.ts';
const pathsTest = 'shared/protocol/stream/paths.test.ts';
const versions = 'shared/directory/versioned-folder.ts';
const versionsTest = 'shared/directory/versioned-folder.test.ts';

/** What breaks the transport's ways (W1 to W5) and the directory layer (F1 to F6). */
export const wayAndFolderMutations: readonly Mutation[] = [
  {
    name: 'multicast that does not pass is never noticed',
    guarantee: 'W1',
    edits: [{ file: hearing, find: 'if (speaker.answers >= probeAnswers) {', replace: 'if (speaker.answers < 0) {' }],
    caughtBy: {
      kind: 'test',
      file: pathsTest,
      title: 'silence with three answers by unicast is multicast that does not pass: reported until it shows an effect',
    },
  },
  {
    name: 'copies are promised and never sent',
    guarantee: 'W1',
    edits: [
      {
        file: 'shared/protocol/stream/endpoint.ts',
        find: 'for (const address of this.#paths.copies) this.#putCopy(datagrams, address, bytes);',
        replace: '',
      },
    ],
    caughtBy: {
      kind: 'test',
      file: 'tests/integration/sim/paths.test.ts',
      title: 'a group without any multicast leads, commits and stays current, when slaves know where their master is',
    },
  },
  {
    name: 'copies never end',
    guarantee: 'W2',
    edits: [{ file: reach, find: 'this.#unreached.delete(other);', replace: '' }],
    caughtBy: {
      kind: 'test',
      file: pathsTest,
      title: 'who says that it hears nothing gets copies until it says otherwise; each is told once',
    },
  },
  {
    name: 'nobody says that what came twice came twice',
    guarantee: 'W2',
    edits: [
      {
        file: hearing,
        find: 'if (byGroup) this.#byGroup(speaker, nowMs);\n      this.#tellTwice(speaker, nowMs);',
        replace: '',
      },
    ],
    caughtBy: {
      kind: 'test',
      file: pathsTest,
      title: 'so does who gets its heartbeats once, and each of them a second time that can not be read again',
    },
  },
  {
    name: 'a dead master is taken for a broken network',
    guarantee: 'W3',
    edits: [
      {
        file: hearing,
        find: 'if (speaker.answers >= probeAnswers) {',
        replace: 'if (speaker.probes >= probeAnswers) {',
      },
    ],
    caughtBy: {
      kind: 'test',
      file: pathsTest,
      title: 'a master that answers nothing is gone, not unheard; it is asked ever more seldom, and forgotten',
    },
  },
  {
    name: 'one datagram of multicast ends the copies',
    guarantee: 'W3',
    edits: [
      {
        file: hearing,
        find: 'speaker.backCount >= this.#limits.backDatagrams && nowMs - speaker.backSinceMs >= this.#limits.backMs;',
        replace: 'speaker.backCount >= 1;',
      },
      {
        file: hearing,
        find: 'if (speaker.backCount >= backDatagrams && nowMs - speaker.backSinceMs >= backMs) {',
        replace: 'if (speaker.backCount >= 1) {',
      },
    ],
    caughtBy: {
      kind: 'test',
      file: pathsTest,
      title: 'one datagram of multicast does not bring it back; three over a while do, and that is reported',
    },
  },
  {
    name: 'copies go on to an address that a peer has left',
    guarantee: 'W5',
    edits: [{ file: reach, find: 'else if (known !== undefined) {', replace: "else if (known?.address === '') {" }],
    caughtBy: { kind: 'test', file: pathsTest, title: 'who speaks from elsewhere gets no copies where it was' },
  },
  {
    name: 'a folder is switched in two steps',
    guarantee: 'F1',
    edits: [
      {
        file: versions,
        find: 'await this.#replaceLink(version.name);',
        replace: 'await this.#files.remove(this.link);\n      await this.#files.makeLink(wanted, this.link);',
      },
    ],
    caughtBy: {
      kind: 'test',
      file: versionsTest,
      title: 'a crash before or after any step leaves the old version or the new one, and the next start goes on',
    },
  },
  {
    name: 'a version is shown before its list is durable',
    guarantee: 'F3',
    edits: [
      {
        file: versions,
        find: 'await this.#files.sync(draft.folder);\n    await this.#files.sync(this.state);',
        replace: '',
      },
    ],
    caughtBy: {
      kind: 'test',
      file: versionsTest,
      title: 'nothing is shown before all of it is durable, and the link itself is before it is told',
    },
  },
  {
    name: 'a folder is switched by the vote, not by the commit',
    guarantee: 'F4',
    edits: [
      {
        file: 'slave/user/directory.ts',
        find: '    if (verdict === true) return { ok: true };\n    await this.#versions.abort(change.to);',
        replace:
          '    if (verdict === true) {\n      await this.#versions.show(staged.value);\n      return { ok: true };\n    }\n    await this.#versions.abort(change.to);',
      },
    ],
    caughtBy: {
      kind: 'test',
      file: 'slave/user/directory.test.ts',
      title: 'a yes shows nothing: the link stays where it is until the commit, and after an abort',
    },
  },
  {
    name: 'what a file holds is not held against its digest',
    guarantee: 'F5',
    edits: [
      {
        file: 'shared/directory/staging.ts',
        find: 'if (digest !== content.digest)',
        replace: 'if (digest === undefined)',
      },
    ],
    caughtBy: {
      kind: 'test',
      file: versionsTest,
      title: 'that leads elsewhere, is cut, or lies about contents is a reason, and leaves nothing',
    },
  },
  {
    name: 'two slaves at one link',
    guarantee: 'F6',
    edits: [
      {
        file: 'shared/directory/version-owner.ts',
        find: 'owner.node !== null && node !== null && owner.node !== node',
        replace: "owner.node === ''",
      },
    ],
    caughtBy: {
      kind: 'test',
      file: versionsTest,
      title:
        'a link has one slave: a second one is refused before it touches anything, and told how to take the place of the first',
    },
  },
];
