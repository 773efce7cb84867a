// Prints what the SPZ format's own implementation reads from a file, in the axes named by three letters.
import { readFileSync } from 'node:fs';
import create from '@adobe/spz';

const [path, axes] = process.argv.slice(2);
const spz = await create({ print: () => {}, printErr: () => {} });
const cloud = spz.loadSpzFromBuffer(readFileSync(path), { to: spz.CoordinateSystem[axes] });
// JSON has no infinities, which opacities of 0 and 1 become.
cloud.alphas = cloud.alphas.map((logit) => Math.max(-30, Math.min(30, logit)));
const numbers = Object.fromEntries(['positions', 'scales', 'rotations', 'alphas', 'colors', 'sh'].map((name) => [name, [...cloud[name]]]));
console.log(JSON.stringify({ count: cloud.numPoints, degree: cloud.shDegree, antialiased: cloud.antialiased, ...numbers }));
