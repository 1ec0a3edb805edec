/** The vocabulary of the sample catalogue. All makers are invented. */

export interface Department {
  readonly name: string;
  readonly kinds: readonly { readonly noun: string; readonly cents: number; readonly grams: number }[];
  readonly variants: readonly string[];
  /** What a size does to price and weight. */
  readonly sizes: readonly { readonly label: string; readonly factor: number }[];
  readonly tags: readonly string[];
}

export const makers: readonly string[] = [
  ...[
    'Ålgård',
    'Brennhout',
    'Casa Niebla',
    'Dvořák & Syn',
    'Ekenäs',
    'Fjordlys',
    'Großmann',
    'Hollow Pine',
    'Île Verte',
  ],
  ...['Järvinen', 'Kestrel', 'Łąka', 'Moulin Bleu', 'Nakamori', 'Osterfeld', 'Pão da Serra', 'Quillane', 'Rosenlund'],
  ...['Søstrene Vik', 'Tamariz', 'Umbral', 'Van der Meent', 'Wolkenstein', 'Ypsilon', 'Žitný'],
];

const count = [
  { label: '', factor: 1 },
  { label: '(2 pack)', factor: 1.85 },
  { label: '(4 pack)', factor: 3.4 },
  { label: '(6 pack)', factor: 4.8 },
];
const weight = [
  { label: '125 g', factor: 0.5 },
  { label: '250 g', factor: 1 },
  { label: '400 g', factor: 1.5 },
  { label: '500 g', factor: 1.8 },
  { label: '1 kg', factor: 3.4 },
];
const dress = ['XS', 'S', 'M', 'L', 'XL'].map((label) => ({ label, factor: 1 }));

export const departments: readonly Department[] = [
  {
    name: 'Bakery',
    kinds: [
      { noun: 'Rye Crispbread', cents: 229, grams: 250 },
      { noun: 'Sourdough Crackers', cents: 279, grams: 250 },
      { noun: 'Butter Biscuits', cents: 249, grams: 250 },
      { noun: 'Brioche Rusks', cents: 319, grams: 250 },
      { noun: 'Pain d’épices', cents: 429, grams: 250 },
      { noun: 'Lebkuchen', cents: 489, grams: 250 },
    ],
    variants: ['Organic', 'Wholegrain', 'Seeded', 'Sea Salt', 'Spelt', 'Honey', 'Hazelnut', ''],
    sizes: weight,
    tags: ['vegetarian', 'organic', 'wholegrain', 'seasonal'],
  },
  {
    name: 'Coffee & Tea',
    kinds: [
      { noun: 'Espresso Beans', cents: 699, grams: 250 },
      { noun: 'Filter Coffee', cents: 579, grams: 250 },
      { noun: 'Café de Olla Blend', cents: 749, grams: 250 },
      { noun: 'Sencha', cents: 899, grams: 250 },
      { noun: 'Darjeeling First Flush', cents: 1190, grams: 250 },
      { noun: 'Rooibos', cents: 489, grams: 250 },
    ],
    variants: ['Dark Roast', 'Light Roast', 'Single Estate', 'Decaf', 'Smoked', 'Mountain', 'House', 'Breakfast'],
    sizes: weight,
    tags: ['fair trade', 'organic', 'bestseller', 'vegan'],
  },
  {
    name: 'Pantry',
    kinds: [
      { noun: 'Penne', cents: 149, grams: 250 },
      { noun: 'Basmati Rice', cents: 219, grams: 250 },
      { noun: 'Puy Lentils', cents: 259, grams: 250 },
      { noun: 'Piquillo Peppers', cents: 349, grams: 250 },
      { noun: 'Wildflower Honey', cents: 549, grams: 250 },
      { noun: 'Crème de marrons', cents: 459, grams: 250 },
      { noun: 'Ajvar', cents: 329, grams: 250 },
      { noun: 'Orange Marmalade', cents: 389, grams: 250 },
    ],
    variants: ['Organic', 'Classic', 'Rustic', 'Extra Fine', 'Smoky', 'Family', 'No. 7', 'Garden'],
    sizes: weight,
    tags: ['vegan', 'gluten free', 'organic', 'local'],
  },
  {
    name: 'Kitchen',
    kinds: [
      { noun: 'Chef’s Knife', cents: 4990, grams: 260 },
      { noun: 'Sauté Pan', cents: 5990, grams: 1400 },
      { noun: 'Stock Pot', cents: 6490, grams: 2100 },
      { noun: 'Mixing Bowl', cents: 1290, grams: 480 },
      { noun: 'Salad Spinner', cents: 1890, grams: 620 },
      { noun: 'Pepper Mill', cents: 2490, grams: 310 },
      { noun: 'Café Press', cents: 2990, grams: 540 },
      { noun: 'Kitchen Scale', cents: 2290, grams: 430 },
    ],
    variants: ['Carbon Steel', 'Stainless', 'Enamel', 'Cast Iron', 'Beech', 'Copper', 'Stoneware', 'Matte Black'],
    sizes: [
      { label: 'Small', factor: 0.75 },
      { label: 'Medium', factor: 1 },
      { label: 'Large', factor: 1.35 },
      { label: '(2 pack)', factor: 1.85 },
    ],
    tags: ['dishwasher safe', 'induction', 'gift', 'new', 'bestseller'],
  },
  {
    name: 'Tools',
    kinds: [
      { noun: 'Claw Hammer', cents: 1790, grams: 640 },
      { noun: 'Combination Pliers', cents: 1490, grams: 280 },
      { noun: 'Spirit Level', cents: 2190, grams: 520 },
      { noun: 'Hand Saw', cents: 1990, grams: 450 },
      { noun: 'Socket Set', cents: 5490, grams: 2900 },
      { noun: 'Cordless Drill', cents: 9990, grams: 1500 },
      { noun: 'Torque Wrench', cents: 7990, grams: 1300 },
      { noun: 'Tape Measure', cents: 890, grams: 180 },
    ],
    variants: ['Compact', 'Forged', 'Insulated', 'Professional', 'Hobby', 'Heavy Duty', 'Magnetic', 'Series 3'],
    sizes: [
      { label: '', factor: 1 },
      { label: '(2 pack)', factor: 1.85 },
      { label: 'with Case', factor: 1.3 },
      { label: 'with Belt Clip', factor: 1.1 },
    ],
    tags: ['trade', 'spare parts', '2-year warranty', 'new'],
  },
  {
    name: 'Lighting',
    kinds: [
      { noun: 'LED Bulb E27', cents: 490, grams: 60 },
      { noun: 'Desk Lamp', cents: 3990, grams: 1100 },
      { noun: 'Pendant Light', cents: 6990, grams: 1600 },
      { noun: 'Reading Light', cents: 2490, grams: 420 },
      { noun: 'Light Strip', cents: 1990, grams: 210 },
    ],
    variants: ['Warm White', 'Daylight', 'Dimmable', 'Opal', 'Filament', 'Linen', 'Brass', 'Smart'],
    sizes: count,
    tags: ['energy class A', 'dimmable', 'indoor', 'outdoor'],
  },
  {
    name: 'Garden',
    kinds: [
      { noun: 'Secateurs', cents: 2490, grams: 230 },
      { noun: 'Watering Can', cents: 1890, grams: 900 },
      { noun: 'Terracotta Pot', cents: 1190, grams: 1800 },
      { noun: 'Hose', cents: 2990, grams: 2600 },
      { noun: 'Trowel', cents: 990, grams: 240 },
      { noun: 'Bird Feeder', cents: 1590, grams: 700 },
      { noun: 'Potting Compost', cents: 690, grams: 5000 },
    ],
    variants: ['Galvanised', 'Ash Handled', 'Heritage', 'Peat Free', 'Balcony', 'Recycled', 'Terrace', 'Frostproof'],
    sizes: [
      { label: '', factor: 1 },
      { label: 'Small', factor: 0.7 },
      { label: 'Large', factor: 1.6 },
      { label: '(2 pack)', factor: 1.85 },
    ],
    tags: ['outdoor', 'seasonal', 'recycled', 'bee friendly'],
  },
  {
    name: 'Clothing',
    kinds: [
      { noun: 'Wool Jumper', cents: 7990, grams: 480 },
      { noun: 'Rain Jacket', cents: 11900, grams: 620 },
      { noun: 'Linen Shirt', cents: 5490, grams: 210 },
      { noun: 'Corduroy Trousers', cents: 6990, grams: 560 },
      { noun: 'Base Layer', cents: 3990, grams: 190 },
      { noun: 'Hiking Socks', cents: 1290, grams: 80 },
    ],
    variants: ['Navy', 'Moss', 'Oatmeal', 'Charcoal', 'Ochre', 'Bordeaux', 'Bleu délavé', 'Undyed'],
    sizes: dress,
    tags: ['merino', 'organic cotton', 'unisex', 'sale', 'new'],
  },
  {
    name: 'Stationery',
    kinds: [
      { noun: 'Notebook A5', cents: 1190, grams: 280 },
      { noun: 'Fountain Pen', cents: 3490, grams: 30 },
      { noun: 'Gel Pen', cents: 249, grams: 12 },
      { noun: 'Watercolour Block', cents: 1690, grams: 540 },
      { noun: 'Washi Tape 和紙', cents: 349, grams: 20 },
      { noun: 'Desk Calendar', cents: 1490, grams: 350 },
    ],
    variants: ['Dotted', 'Ruled', 'Plain', 'Extra Fine', 'Broad', 'Recycled', 'Pocket', 'Limited Edition'],
    sizes: count,
    tags: ['gift', 'recycled', 'school', 'office'],
  },
  {
    name: 'Electronics',
    kinds: [
      { noun: 'USB-C Cable', cents: 1290, grams: 40 },
      { noun: 'Wall Charger', cents: 2990, grams: 110 },
      { noun: 'Bluetooth Speaker', cents: 7990, grams: 560 },
      { noun: 'Wireless Mouse', cents: 2790, grams: 95 },
      { noun: 'Mechanical Keyboard', cents: 10900, grams: 880 },
      { noun: 'HDMI Switch', cents: 3490, grams: 150 },
    ],
    variants: ['Slim', 'Braided', 'Travel', 'Studio', 'Low Noise', 'Graphite', 'Second Generation', 'Pro'],
    sizes: [
      { label: '', factor: 1 },
      { label: 'Black', factor: 1 },
      { label: 'Frost Grey', factor: 1.05 },
      { label: '(2 pack)', factor: 1.85 },
    ],
    tags: ['2-year warranty', 'refurbished', 'bestseller', 'new'],
  },
];
