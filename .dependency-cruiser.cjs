/**
 * The direction of dependencies, as rules: kernel <- wire <- stream <- core <- service <- main.
 *
 * Each layer lists what it MAY import from this repository; everything else is a finding. Unit tests (`*.test.ts`) may
 * reach further, since nothing depends on them.
 */
const own = '^(master|slave|activation|shared|cli|scripts|tests|examples)/';
const unitTest = '[.]test[.]ts$';

const kernel = '^shared/protocol/kernel/';
const wire = '^shared/protocol/wire/';
const stream = '^shared/protocol/stream/';
const secure = '^shared/protocol/secure/';
const clock = '^shared/protocol/clock/';
const keyValue = '^shared/protocol/key-value/';
const directoryProtocol = '^shared/protocol/directory/';
const directory = '^shared/directory/';
const runtime = '^shared/runtime/';
const ports = '^shared/runtime/ports[.]ts$';
const anyCore = '^(master|slave)/service/core/';
const activationCore = '^activation/(copy/)?core/';
const shipped = '^(master|slave|activation|shared|cli|tests/integration/sim)/';

/** `from` may import only `allowed` (patterns; `$1` is what the first group of `from` matched). */
function layer(name, comment, from, allowed) {
  return {
    name,
    comment,
    severity: 'error',
    from: { path: from, pathNot: unitTest },
    to: { path: own, pathNot: allowed },
  };
}

/** @type {import('dependency-cruiser').IConfiguration} */
module.exports = {
  forbidden: [
    layer('kernel-knows-nothing', 'The kernel is the floor: it imports nothing but itself.', kernel, [kernel]),
    layer('wire-knows-kernel', 'The wire format knows the kernel only.', wire, [kernel, wire]),
    layer('stream-knows-wire', 'Streams know the wire format and the kernel.', stream, [kernel, wire, stream]),
    layer('secure-knows-wire', 'Keys, seals and signatures know the wire format and the kernel.', secure, [
      kernel,
      wire,
      secure,
    ]),
    layer('clock-knows-kernel', 'What another clock shows is worked out from numbers alone.', clock, [kernel, clock]),
    layer('key-value-knows-kernel', 'The key-value operations know the kernel only.', keyValue, [kernel, keyValue]),
    layer('directory-protocol-knows-kernel', 'Trees of files know the kernel only.', directoryProtocol, [
      kernel,
      directoryProtocol,
    ]),
    layer(
      'directory-knows-its-protocol',
      'Versions of a folder on a disk know the kernel and trees of files.',
      directory,
      [kernel, directoryProtocol, directory],
    ),
    layer(
      'core-knows-protocol',
      'A core knows the protocol and itself: no service, no user layer, no machine.',
      anyCore,
      [kernel, wire, stream, clock, '^$1/service/core/'],
    ),
    layer(
      'runtime-knows-protocol',
      'The machine layer knows kernel, wire and stream, and a core only by its types.',
      runtime,
      [kernel, wire, stream, secure, runtime, anyCore],
    ),
    {
      name: 'runtime-sees-core-as-interface',
      comment: 'The machine layer drives a core through its types and never imports one to run.',
      severity: 'error',
      from: { path: runtime, pathNot: unitTest },
      to: { path: anyCore, dependencyTypesNot: ['type-only'] },
    },
    layer(
      'service-never-interprets-data',
      'A service knows the protocol, the machine layer, its own core and its own side: never what the data means.',
      '^(master|slave)/service/(?!core/)',
      [kernel, wire, stream, runtime, '^$1/service/', '^$1/user/contract[.]ts$', '^$1/types[.]ts$'],
    ),
    layer(
      'user-layer-knows-kernel',
      "A user layer knows the kernel, what a change of its data is, the ports and its own side's types: never the network.",
      '^(master|slave)/user/',
      [kernel, keyValue, directoryProtocol, directory, ports, '^$1/user/', '^$1/types[.]ts$'],
    ),
    {
      name: 'sides-never-meet',
      comment: 'The master never imports the slave, nor the other way round: what they share is in shared/.',
      severity: 'error',
      from: { path: '^(master|slave)/', pathNot: unitTest },
      to: { path: '^(master|slave)/', pathNot: '^$1/' },
    },
    layer(
      'activation-core-knows-protocol',
      'The rules of the pull cycle know the protocol and themselves: no database, no HTTP, no machine.',
      activationCore,
      [kernel, wire, stream, keyValue, '^shared/protocol/clock/', activationCore],
    ),
    layer(
      'activation-knows-shared',
      'The data server and the copies stand beside master and slave, on the same shared code.',
      '^activation/(?!core/)',
      ['^activation/', '^shared/'],
    ),
    {
      name: 'data-server-and-copy-never-meet',
      comment: 'What the data server and the copies agree on is in activation/core.',
      severity: 'error',
      from: { path: '^activation/(data-server|copy)/', pathNot: unitTest },
      to: { path: '^activation/(?!core/)', pathNot: '^activation/$1/' },
    },
    {
      name: 'peers-are-loaded-on-demand',
      comment: 'An optional peer may be missing: only its types are imported, and the rest when it is needed.',
      severity: 'error',
      from: { path: shipped, pathNot: unitTest },
      to: { dependencyTypes: ['npm-peer'], dependencyTypesNot: ['type-only', 'dynamic-import'] },
    },
    {
      name: 'sides-need-no-activation',
      comment: 'Neither master nor slave nor what they share knows that there is a pull cycle.',
      severity: 'error',
      from: { path: '^(master|slave|shared)/', pathNot: unitTest },
      to: { path: '^activation/' },
    },
    layer(
      'examples-use-the-public-entries',
      'An example imports what a user can import: the entry points of the package, and what lies in its own folder.',
      '^examples/([^/]+)/',
      ['^examples/$1/', '^(master|slave|activation|tests/integration/sim)/index[.]ts$'],
    ),
    {
      name: 'nothing-imports-examples',
      comment: 'Examples are leaves.',
      severity: 'error',
      from: { pathNot: '^examples/' },
      to: { path: '^examples/' },
    },
    {
      name: 'pure-code-needs-no-builtin',
      comment:
        'Cores and protocol know no machine. The exceptions are pure functions of bytes: the digest, and the checksum and the check of text in the wire format.',
      severity: 'error',
      from: {
        path: `${anyCore}|${activationCore}|^shared/protocol/`,
        pathNot: [unitTest, '^shared/protocol/kernel/digest[.]ts$', wire, secure],
      },
      to: { dependencyTypes: ['core'] },
    },
    {
      name: 'wire-needs-only-byte-functions',
      comment:
        'Of what Node brings, the wire format may use functions of bytes, and nothing that waits, draws or remembers.',
      severity: 'error',
      from: { path: wire, pathNot: unitTest },
      to: { dependencyTypes: ['core'], pathNot: '^(node:)?(buffer|zlib)$' },
    },
    {
      name: 'secure-needs-only-crypto',
      comment: 'Ciphers and signatures are functions of bytes. Keys and salts are drawn elsewhere and given in.',
      severity: 'error',
      from: { path: secure, pathNot: unitTest },
      to: { dependencyTypes: ['core'], pathNot: '^(node:)?crypto$' },
    },
    {
      name: 'cores-need-no-package',
      comment: 'Cores, kernel and streams import no package. Bodies are packed in the wire layer.',
      severity: 'error',
      from: { path: `${anyCore}|${activationCore}|${kernel}|${stream}`, pathNot: unitTest },
      to: { path: 'node_modules/' },
    },
    {
      name: 'nothing-imports-tests',
      comment: 'Tests are leaves. Only tests and the developer scripts may import them.',
      severity: 'error',
      from: { pathNot: ['^tests/', '^scripts/', '^examples/', unitTest] },
      to: { path: `^tests/|${unitTest}` },
    },
    {
      name: 'scripts-are-leaves',
      comment: 'What ships never imports what a developer runs.',
      severity: 'error',
      from: { path: shipped, pathNot: unitTest },
      to: { path: '^scripts/' },
    },
    {
      name: 'cli-is-a-leaf',
      comment: 'The command line stands on top.',
      severity: 'error',
      from: { path: '^(master|slave|activation|shared)/|^tests/integration/sim/', pathNot: unitTest },
      to: { path: '^cli/' },
    },
    {
      name: 'shipped-code-needs-no-dev-dependency',
      comment:
        'A package that the installed product needs belongs under "dependencies", or is an optional peer that is loaded on demand.',
      severity: 'error',
      from: { path: shipped, pathNot: unitTest },
      to: { dependencyTypes: ['npm-dev'], dependencyTypesNot: ['type-only', 'npm-peer'] },
    },
    {
      name: 'no-undeclared-package',
      comment:
        'Each imported package stands in package.json. (What also stands under "peerDependenciesMeta" is called unknown.)',
      severity: 'error',
      from: {},
      to: { dependencyTypes: ['npm-no-pkg', 'npm-unknown'], dependencyTypesNot: ['npm-peer'] },
    },
    {
      name: 'not-to-unresolvable',
      comment: 'An import that resolves to nothing.',
      severity: 'error',
      from: {},
      to: { couldNotResolve: true },
    },
    {
      name: 'no-circular',
      comment: 'Cycles of values. (Types may refer to each other.)',
      severity: 'error',
      from: {},
      to: { circular: true, viaOnly: { dependencyTypesNot: ['type-only'] } },
    },
  ],
  options: {
    doNotFollow: { path: 'node_modules' },
    // Types count: a layer that knows another's types knows that layer.
    tsPreCompilationDeps: true,
    tsConfig: { fileName: 'tsconfig.json' },
    enhancedResolveOptions: { exportsFields: ['exports'], conditionNames: ['import', 'node', 'default', 'types'] },
  },
};
